"""How long this process has known of a sent request, by a clock that nobody sets.

A database's clock that jumps ahead makes a request look settled that was sent a moment
ago. A request sent now may still arrive, regardless of that clock.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

# Effects without further news, because their run ended elsewhere, are dropped then.
LONGEST = timedelta(days=7)


@dataclass(frozen=True)
class Watch:
    """Remembers since when this process has known of an attempt; safe in one loop."""

    clock_s: Callable[[], float] = time.monotonic
    # The latest attempt of each effect; the oldest first.
    _since: dict[str, tuple[int, float]] = field(
        default_factory=dict[str, tuple[int, float]], init=False
    )

    @property
    def watched(self) -> int:
        """Return how many effects are remembered."""
        return len(self._since)

    def note(self, key: str, attempt: int) -> None:
        """Remember that this attempt of an effect may be in transit, from now on."""
        known = self._since.get(key)
        if known is not None and known[0] >= attempt:
            return
        self._since.pop(key, None)
        self._since[key] = attempt, self.clock_s()
        self._forget_old()

    def left(self, key: str, attempt: int, *, of: timedelta) -> timedelta | None:
        """Return the rest of a length of time since then; None if it has passed."""
        self.note(key, attempt)
        _, since = self._since[key]
        left = of - timedelta(seconds=self.clock_s() - since)
        return left if left > timedelta(0) else None

    def forget(self, key: str) -> None:
        """Forget an effect with a known outcome."""
        self._since.pop(key, None)

    def _forget_old(self) -> None:
        oldest_s = self.clock_s() - LONGEST.total_seconds()
        while self._since:
            key = next(iter(self._since))
            if self._since[key][1] >= oldest_s:
                return
            del self._since[key]
