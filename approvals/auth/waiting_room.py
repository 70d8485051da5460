"""The waiting room: where sign-ins that are slowed down stand until their time.

One that waits holds a place here and its connection to the browser: no connection to the
database, no thread, and no turn at the hashing of passwords.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

from keyturn.orchestrator.store.people.errors import TooManyAttempts
from keyturn.orchestrator.store.people.sign_in_throttle import LONGEST_WAIT

# Each waits ten seconds at most. A place costs a socket; a process has a thousand.
MOST = 256
# So one address leaves places to the others.
MOST_AN_ADDRESS = 64


class WaitingRoom:
    """The places of one process, so many in all and so many from one address."""

    def __init__(
        self,
        *,
        most: int = MOST,
        most_an_address: int = MOST_AN_ADDRESS,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Take how many have a place, and what waits."""
        self._most = most
        self._most_an_address = most_an_address
        self._sleep = sleep
        self._here: Counter[str] = Counter()

    @contextmanager
    def place(self, address: str) -> Generator[None]:
        """Hold a place; raises `TooManyAttempts` where there is none, or none for it."""
        is_full = self._here.total() >= self._most
        if is_full or self._here[address] >= self._most_an_address:
            raise TooManyAttempts(retry_after_s=int(LONGEST_WAIT.total_seconds()))
        self._here[address] += 1
        try:
            yield
        finally:
            self._here[address] -= 1
            # Whoever was here once is not counted for ever.
            self._here += Counter()

    async def wait(self, seconds: float) -> None:
        """Return when so much time has passed."""
        if seconds > 0:
            await self._sleep(seconds)
