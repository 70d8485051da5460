"""The waiting room, which holds delayed sign-ins until their turn.

A waiting sign-in occupies a place here and its connection to the browser, but no
database connection, no thread and no slot for password hashing.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

from keyturn.orchestrator.store.people.errors import TooManyAttempts
from keyturn.orchestrator.store.people.sign_in_throttle import LONGEST_WAIT

# Each waits at most ten seconds. A place costs a socket; a process has a thousand.
MOST = 256
# Leaves places for other addresses.
MOST_AN_ADDRESS = 64


class WaitingRoom:
    """The places of one process, bounded in total and per address."""

    def __init__(
        self,
        *,
        most: int = MOST,
        most_an_address: int = MOST_AN_ADDRESS,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Take the bounds and the function that sleeps."""
        self._most = most
        self._most_an_address = most_an_address
        self._sleep = sleep
        self._here: Counter[str] = Counter()

    @contextmanager
    def place(self, address: str) -> Generator[None]:
        """Hold a place; raises `TooManyAttempts` if all or this address's are taken."""
        is_full = self._here.total() >= self._most
        if is_full or self._here[address] >= self._most_an_address:
            raise TooManyAttempts(retry_after_s=int(LONGEST_WAIT.total_seconds()))
        self._here[address] += 1
        try:
            yield
        finally:
            self._here[address] -= 1
            # Drop the address's count when nobody of it is left.
            self._here += Counter()

    async def wait(self, seconds: float) -> None:
        """Wait for this long."""
        if seconds > 0:
            await self._sleep(seconds)
