"""How long this process has known of what was sent, by a clock that nobody sets.

A database's clock that jumps ahead makes a request look settled that was sent a moment
ago. What is sent now may still arrive, whatever time it is.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

# Nobody asks any more for what is older; it is forgotten.
LONGEST = timedelta(hours=1)


@dataclass(frozen=True)
class Watch:
    """Remembers since when this process has known of an attempt; safe in one loop."""

    clock_s: Callable[[], float] = time.monotonic
    _since: dict[tuple[str, int], float] = field(
        default_factory=dict[tuple[str, int], float], init=False
    )

    def note(self, key: str, attempt: int) -> None:
        """Remember that this attempt of an effect may be on its way, from now on."""
        now = self.clock_s()
        for one, since in [*self._since.items()]:
            if now - since > LONGEST.total_seconds():
                del self._since[one]
        self._since.setdefault((key, attempt), now)

    def left(self, key: str, attempt: int, *, of: timedelta) -> timedelta | None:
        """Return what is left of a length of time since then; None: nothing."""
        self.note(key, attempt)
        known_s = self.clock_s() - self._since[key, attempt]
        left = of - timedelta(seconds=known_s)
        return left if left > timedelta(0) else None
