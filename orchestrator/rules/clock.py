"""The clock as a port, so that tests can let years pass."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Whatever tells the time, in UTC."""

    def __call__(self) -> datetime:
        """Return the time now, aware, in UTC."""
        ...


def system_clock() -> datetime:
    """Return this machine's time in UTC."""
    return datetime.now(UTC)
