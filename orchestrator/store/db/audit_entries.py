"""Audit entries of one transaction: collected, and written right before its commit.

Each entry therefore has the digests of what its transaction wrote, and ids are assigned
in the order in which transactions changed a row: at that point each holds the locks of
its rows.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from pydantic import JsonValue

from keyturn.orchestrator.rules.text import canonical, json_object
from keyturn.orchestrator.store.db import digests
from keyturn.orchestrator.store.db.digests import Written
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import AuditRow

# The entries of a transaction, in its session's `info`.
ENTRIES = "audit entries"
# The rows in an entry's payload: their digests by name, null for a deleted row.
ROWS = "rows"
# The kind of an entry that exists only to carry digests.
ROW_CHANGED = "row.changed"


def collect(session: Tx, row: AuditRow) -> None:
    """Keep an entry until the transaction commits."""
    session.info.setdefault(ENTRIES, []).append(row)


async def add(session: Tx) -> bool:
    """Add the transaction's entries to it; return whether there are any.

    A transaction that changed rows without an entry gets one entry for them.
    """
    await session.flush()
    rows: list[AuditRow] = session.info.pop(ENTRIES, [])
    if digests.WRITTEN in session.info:
        written = await session.run_sync(digests.of_written)
        if written and not rows:
            rows.append(_made_for(written[0], at=await session.read_clock()))
        _spread(written, rows)
    session.add_all(rows)
    return bool(rows)


def _spread(written: Sequence[Written], rows: Sequence[AuditRow]) -> None:
    """Put each row's digest into the entry that describes it, or comes closest."""
    entries = [_Entry(row) for row in rows]
    of_runs: dict[str | None, list[_Entry]] = {}
    for entry in entries:
        of_runs.setdefault(entry.row.run, []).append(entry)
    for one in written:
        among = of_runs.get(one.run, entries)
        fits = [entry.fits(one) for entry in among]
        best = max(fits)
        among[fits.index(best)].take(one)
        for entry, fit in zip(among, fits, strict=True):
            # A transaction may say several things of one row: that it ended, and that
            # it began again.
            if fit.is_about and fit[:2] == best[:2]:
                entry.take(one)
    for entry in entries:
        entry.write()


class _Fit(NamedTuple):
    """How well an entry describes a row; earlier fields weigh more."""

    is_of_kind: bool
    is_about: bool
    is_free: bool


class _Entry:
    """An entry, and the digests that it takes in."""

    def __init__(self, row: AuditRow) -> None:
        self.row = row
        self._said: dict[str, JsonValue] = {}
        self._tables: set[str] = set()

    def fits(self, one: Written) -> _Fit:
        """Return how well it describes a row."""
        names = (str(one.key[0]), ":".join(map(str, one.key)))
        return _Fit(
            is_of_kind=self.row.kind.startswith(one.kept.kind),
            is_about=self.row.subject in names,
            is_free=one.kept.table not in self._tables,
        )

    def take(self, one: Written) -> None:
        """Take in a row's digest."""
        self._said[one.name] = one.digest
        self._tables.add(one.kept.table)

    def write(self) -> None:
        """Put the digests into the payload."""
        if self._said:
            payload = json_object.parse(self.row.payload)
            self.row.payload = canonical.text({**payload, ROWS: self._said})


def _made_for(one: Written, *, at: datetime) -> AuditRow:
    return AuditRow(
        at=at,
        actor=f"run:{one.run}" if one.run else "system",
        kind=ROW_CHANGED,
        run=one.run,
        subject=one.name,
        payload="{}",
    )
