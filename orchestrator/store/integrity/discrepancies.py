"""What the audit log and the tables disagree on, as `verification` finds it."""

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
        """Return all of it in one line."""
        return (
            f"{self.id}: {self.what}; the log says {self.log}, the table {self.table}. "
            f"{self.remedy}"
        )


@dataclass
class Discrepancies:
    """The first thousand discrepancies, and how many there are."""

    shown: list[Discrepancy] = field(default_factory=list[Discrepancy])
    count: int = 0

    def add(self, what: str, place: str, log: str, table: str, remedy: str) -> None:
        """Add one."""
        self.count += 1
        if len(self.shown) < MOST_SHOWN:
            self.shown.append(
                Discrepancy(what=what, id=place, log=log, table=table, remedy=remedy)
            )
