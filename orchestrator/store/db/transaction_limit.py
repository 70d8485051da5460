"""Limit on the concurrent transactions of one process, and their order."""

import asyncio
import heapq
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

# A transaction of ours takes milliseconds. One that takes longer than this waited for
# others, of this process or at the database's locks: a quarter of its time limit.
SLOW_S = 0.5
# The share of the bound that remains after a slow transaction, and its minimum: one
# transaction that waits for a lock must not keep all others of its process waiting.
LESS = 0.75
LEAST = 2


class TurnsAtOnce:
    """Bounds the concurrent transactions; those that end something begun go first.

    One event loop works on one transaction at a time, so that more concurrent ones
    finish no sooner: each takes longer, holds its locks for longer, and finally times
    out, and all its work is repeated. That feeds itself. So the bound adapts to the
    observed times, like the senders of a network (additive increase, multiplicative
    decrease): each slow transaction lowers it, quick ones raise it again.
    """

    def __init__(self, most: int, *, least: int = LEAST) -> None:
        """Begin with the highest bound; slow transactions lower it, down to `least`."""
        self._most = most
        self._least = min(least, most)
        self._bound = float(most)
        self._lowered_at = float("-inf")
        self._taken = 0
        self._waiting: list[tuple[bool, int, asyncio.Future[None]]] = []
        self._number = 0
        # A task that has a turn takes no second one: two such tasks could deadlock.
        self._holders = set[asyncio.Task[Any] | None]()

    @property
    def bound(self) -> int:
        """The current bound on concurrent transactions."""
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
            # Also if another task closes the block than the one that began it.
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
                # The turn was given at the moment when the waiting task gave up.
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
            # Transactions that ran beside it carry no further information.
            self._lowered_at = now
            self._bound = max(self._least, self._bound * LESS)
