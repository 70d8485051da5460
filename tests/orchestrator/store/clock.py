"""A clock that a test moves."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass
class Hands:
    """A clock that a test moves; else it goes on by itself, a millisecond a look."""

    at: datetime = datetime(2030, 1, 1, 12, tzinfo=UTC)
    step: timedelta = timedelta(milliseconds=1)

    def __call__(self) -> datetime:
        self.at += self.step
        return self.at

    def go_on(self, by: timedelta) -> None:
        self.at += by
