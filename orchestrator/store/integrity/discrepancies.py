"""Discrepancies between the audit log and the tables, as `verification` finds them."""

from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

MOST_SHOWN = 1_000


class Discrepancy(BaseModel):
    """What the log and the tables disagree on, about one row or entry."""

    model_config = ConfigDict(frozen=True)

    what: str
    id: str
    log: str
    table: str
    remedy: str

    @property
    def line(self) -> str:
        """Return the whole discrepancy in one line."""
        return (
            f"{self.id}: {self.what}; the log says {self.log}, the table {self.table}. "
            f"{self.remedy}"
        )


@dataclass
class Discrepancies:
    """The first thousand discrepancies, and their total number."""

    shown: list[Discrepancy] = field(default_factory=list[Discrepancy])
    count: int = 0

    def add(self, what: str, place: str, log: str, table: str, remedy: str) -> None:
        """Add a discrepancy."""
        self.count += 1
        if len(self.shown) < MOST_SHOWN:
            self.shown.append(
                Discrepancy(what=what, id=place, log=log, table=table, remedy=remedy)
            )
