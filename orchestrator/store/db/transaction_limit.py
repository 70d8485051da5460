"""How many transactions of one process are under way at once, and which go first."""

import asyncio
import heapq
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

# A transaction of ours takes milliseconds. One that takes longer than this stood still
# behind others, of this process or at the database's locks: a quarter of what it has.
SLOW_S = 0.5
# What is left of the bound when one was slow, and the least that is left of it: one that
# waits for a lock must not keep all others of its process waiting.
LESS = 0.75
LEAST = 2


class TurnsAtOnce:
    """Lets at most so many go on at once; who ends what has begun goes first.

    One event loop works on one transaction at a time, so that more of them are done no
    sooner: each takes longer, holds its locks for longer, and runs out of its time in
    the end, when all that it did is done again. That feeds itself. So the bound follows
    what is seen, as a network's senders do it (additive increase, multiplicative
    decrease): each slow transaction lowers it, quick ones raise it again.
    """

    def __init__(self, most: int, *, least: int = LEAST) -> None:
        """Begin with the highest bound; slow ones lower it to `least` and no further."""
        self._most = most
        self._least = min(least, most)
        self._bound = float(most)
        self._lowered_at = float("-inf")
        self._taken = 0
        self._waiting: list[tuple[bool, int, asyncio.Future[None]]] = []
        self._number = 0
        # Who has a turn already takes no second one: each would wait for the other's.
        self._holders = set[asyncio.Task[Any] | None]()

    @property
    def bound(self) -> int:
        """How many go on at once just now."""
        return int(self._bound)

    @asynccontextmanager
    async def turn(self, *, first: bool, within_s: float) -> AsyncGenerator[None]:
        """Wait for a turn and hold it for the block; raises TimeoutError.

        `first`: before all that are not.
        """
        mine = asyncio.current_task()
        if mine in self._holders:
            yield
            return
        await self._take(first=first, within_s=within_s)
        began = asyncio.get_running_loop().time()
        self._holders.add(mine)
        try:
            yield
        finally:
            # Also where the block is closed by another task than the one that began it.
            self._holders.discard(mine)
            self._learn(began)
            self._give_back()

    async def _take(self, *, first: bool, within_s: float) -> None:
        if self._taken < self.bound and not self._waiting:
            self._taken += 1
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._number += 1
        heapq.heappush(self._waiting, (not first, self._number, mine))
        try:
            async with asyncio.timeout(within_s):
                await mine
        except BaseException:
            if mine.done() and not mine.cancelled():
                # It was given in the moment in which nobody waited any more.
                self._give_back()
            mine.cancel()
            raise

    def _give_back(self) -> None:
        self._taken -= 1
        while self._waiting and self._taken < self.bound:
            *_, waiting = heapq.heappop(self._waiting)
            if not waiting.done():
                self._taken += 1
                waiting.set_result(None)

    def _learn(self, began: float) -> None:
        now = asyncio.get_running_loop().time()
        if now - began < SLOW_S:
            self._bound = min(self._most, self._bound + 1 / self._bound)
        elif began > self._lowered_at:
            # Those that stood beside it tell no more than it does.
            self._lowered_at = now
            self._bound = max(self._least, self._bound * LESS)
