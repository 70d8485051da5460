"""How often a background job looks for work: often when busy, rarely when idle."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Pace:
    """The pauses between two looks, in seconds.

    After a look that found something the next one comes after `busy_s`; each look that
    found nothing doubles the pause, up to `idle_s`.
    """

    busy_s: float
    idle_s: float

    def after(self, pause_s: float, *, found: bool) -> float:
        """Return the pause that follows a look, given the previous pause."""
        return self.busy_s if found else min(pause_s * 2, self.idle_s)


class Bell:
    """Wakes the jobs of this process that wait for it; keeps no state."""

    def __init__(self) -> None:
        """Start without waiters."""
        self._next = asyncio.Event()

    @property
    def next(self) -> asyncio.Event:
        """Return the event of the next ring; take it before looking for work."""
        return self._next

    def ring(self) -> None:
        """Wake all waiters that took the event before now."""
        self._next.set()
        self._next = asyncio.Event()


@dataclass
class Every:
    """Is due once a period, for a job that runs within a more frequent one."""

    period_s: float
    _last: float | None = field(default=None, init=False)

    def is_due(self) -> bool:
        """Return whether a period has passed since this last returned true."""
        now = time.monotonic()
        if self._last is not None and now - self._last < self.period_s:
            return False
        self._last = now
        return True


async def repeat(
    look: Callable[[], Awaitable[bool]], *, pace: Pace, bell: Bell | None = None
) -> None:
    """Look for work forever; `look` returns whether it found any.

    A ring of `bell` ends an idle pause; the look comes `busy_s` later, so that it
    finds all work that arrived together.
    """
    pause_s = pace.busy_s
    while True:
        ring = bell.next if bell is not None else asyncio.Event()
        pause_s = pace.after(pause_s, found=await look())
        if pause_s <= pace.busy_s:
            await asyncio.sleep(pause_s)
        elif await _is_set_within(ring, pause_s):
            pause_s = pace.busy_s
            await asyncio.sleep(pause_s)


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
