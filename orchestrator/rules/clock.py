"""The clock as a port, so that tests can move time by years."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A source of the current time, in UTC."""

    def __call__(self) -> datetime:
        """Return the current time, aware, in UTC."""
        ...


def system_clock() -> datetime:
    """Return this machine's time in UTC."""
    return datetime.now(UTC)
