"""The scope of a budget: a run, or a tenant's or a workflow's day; with one codec.

The record stores a scope as text, which is also what people type and read. A limit on
money locks a row of the same table under a text of its own (`of_limit`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self

from keyturn.orchestrator.rules.errors import InvalidValue

Kind = Literal["run", "tenant", "workflow"]
KINDS: tuple[Kind, ...] = ("run", "tenant", "workflow")
# The text of every run's scope begins so, and that of no other.
RUN = "run "


@dataclass(frozen=True)
class BudgetScope:
    """What a budget is for; `day` is the day in UTC, as in 2026-11-29, None for a run."""

    kind: Kind
    name: str
    day: str | None = None

    @classmethod
    def of_run(cls, run: str) -> Self:
        """Return the scope of one run."""
        return cls("run", run)

    @classmethod
    def of_day(cls, kind: Kind, name: str, now: datetime) -> Self:
        """Return the scope of a tenant or workflow on the day of `now`."""
        return cls(kind, name, now.date().isoformat())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the scope of a stored or typed text, or raise `InvalidValue`."""
        kind, _, rest = text.partition(" ")
        if kind == "run" and rest:
            return cls.of_run(rest)
        name, _, day = rest.rpartition(" on ")
        if kind in ("tenant", "workflow") and name and day:
            return cls(kind, name, day)
        raise InvalidValue(
            f"There is no budget {text!r}: write `run ID`, `tenant NAME on YYYY-MM-DD` "
            "or `workflow NAME on YYYY-MM-DD`, as `keyturn budget show` does."
        )

    def is_over(self, now: datetime) -> bool:
        """Tell whether its day has ended; a run's budget has no day."""
        return self.day is not None and self.day < now.date().isoformat()

    def __str__(self) -> str:
        """Return the text that is stored."""
        text = f"{self.kind} {self.name}"
        return text if self.day is None else f"{text} on {self.day}"


def days_of(kind: Kind, name: str) -> str:
    """Return how the texts of all days of a tenant or workflow begin."""
    return f"{kind} {name} on "


def of_limit(per: str, name: str) -> str:
    """Return the text under which a limit on money is locked."""
    return f"limit {per} {name}"
