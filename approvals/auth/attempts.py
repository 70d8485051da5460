"""How many wrong passwords are taken before somebody has to wait."""

import time
from collections import OrderedDict
from collections.abc import Callable

from approvals.errors import TooManyAttempts

# From one network address; and from all together, which bounds a spread guess without
# letting one stranger lock an account out.
ALLOWED_A_HOST = 8
ALLOWED_AN_ACCOUNT = 100
WINDOW_S = 300
# Beyond this many addresses the oldest are forgotten: memory has a bound.
REMEMBERED = 10_000


class Attempts:
    """Counts failures by account and network address, in this process.

    With several web processes each counts for itself; the bound grows with them, and
    Argon2 still makes each guess cost.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with nobody known."""
        self._clock = clock
        self._failed: OrderedDict[str, list[float]] = OrderedDict()

    def check(self, email: str, host: str) -> None:
        """Raise `TooManyAttempts` where this account was tried too often."""
        for key, allowed in _keys(email, host).items():
            recent = self._recent(key)
            if len(recent) >= allowed:
                left = WINDOW_S - (self._clock() - recent[0])
                raise TooManyAttempts(retry_after_s=max(1, int(left)))

    def fail(self, email: str, host: str) -> None:
        """Count one failure."""
        for key in _keys(email, host):
            self._failed[key] = [*self._recent(key), self._clock()]
            self._failed.move_to_end(key)
        while len(self._failed) > REMEMBERED:
            self._failed.popitem(last=False)

    def forget(self, email: str, host: str) -> None:
        """Start over: a right password was given."""
        for key in _keys(email, host):
            self._failed.pop(key, None)

    def _recent(self, key: str) -> list[float]:
        since = self._clock() - WINDOW_S
        return [at for at in self._failed.get(key, []) if at > since]


def _keys(email: str, host: str) -> dict[str, int]:
    account = email.strip().lower()
    return {f"{account} from {host}": ALLOWED_A_HOST, account: ALLOWED_AN_ACCOUNT}
