"""Whether an unsealed entry's time and id are plausible.

The time of an honest entry is read in its transaction, which lasts two seconds at most,
and its id is assigned right before the commit. So an entry sealed now is not dated
before those sealed already by more than that, nor after now, and its id is not below
that of an entry from longer ago. This also holds after a crash, an outage of the sealer
and in a restored backup: the entries before are not sealed then, either. If the clock
is set back, the sealer records it: entries that waited then are accepted with any time,
and the log's time continues from there.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import col, select

from keyturn.orchestrator.store.audit import chain
from keyturn.orchestrator.store.db.database import TRANSACTION_TIMEOUT, Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import AuditRow

# Two transactions of 2 s each, and a commit that waits for its disk.
TOLERANCE = timedelta(seconds=10)
# Less than the tolerance: an entry dated ahead must not make others look dated back.
AHEAD = timedelta(seconds=2)
CLOCK_SET_BACK = "clock.set_back"
# The log's time is taken from this many of the latest entries.
LOOK_BACK = 50
# Refused entries are read at each check: if there are very many, a part at a time.
MOST_PAGES = 10


@dataclass
class Judge:
    """Decides of entries, in the order of their ids, why the sealer leaves them out.

    `reached` is the log's latest time, `highest` its highest id; `set_back` is the last
    record of a clock that was set back.
    """

    now: datetime
    head: AuditRow | None
    reached: datetime | None
    set_back: AuditRow | None
    highest: int
    # On SQLite transactions follow each other: none runs beside the one that is judged.
    is_sqlite: bool
    # The times of the sealed entries with the next higher ids.
    _following: dict[int, datetime] = field(default_factory=dict[int, datetime])

    @property
    def is_set_back(self) -> bool:
        """Tell whether the clock was set back since the head was sealed."""
        return self.reached is not None and self.now < self.reached - TOLERANCE

    async def unsealed(self, session: Tx, *, after: int) -> Sequence[AuditRow]:
        """Return the next page of entries to be judged, by id."""
        rows = await chain.unsealed(session, after=after)
        for row in rows:
            entry = chain.id_of(row)
            if entry < self.highest:
                self._following[entry] = await _time_after(session, entry)
        return rows

    def restart(self, row: AuditRow) -> None:
        """Note a record of a clock set back: the log's time continues from there."""
        self.set_back, self.head, self.reached = row, row, row.at

    def why_refused(self, row: AuditRow) -> str | None:
        """Return why an entry is not sealed, or None if it is, now or soon."""
        if row.kind == CLOCK_SET_BACK:
            return f"only the sealer writes {row.kind!r}, and it seals it at once"
        if _waited(row, self.set_back):
            return None
        if row.at > self.now + AHEAD and not _is_of_old_clock(row, self.set_back):
            return f"it is dated {row.at.isoformat()}, which is in the future"
        return None if self.reached is None else self._why_late(row, self.reached)

    def _why_late(self, row: AuditRow, reached: datetime) -> str | None:
        if row.at < reached - TOLERANCE:
            return (
                f"it is dated {row.at.isoformat()}, and was not there when one of "
                f"{reached.isoformat()} was sealed"
            )
        following = self._following.get(chain.id_of(row))
        if following is not None and following < reached - TOLERANCE:
            return (
                f"its id was assigned before {following.isoformat()}, and it was not "
                f"there when an entry of {reached.isoformat()} was sealed"
            )
        return None

    def is_early(self, row: AuditRow) -> bool:
        """Tell whether other entries, from before a clock leap, may still commit."""
        if self.is_sqlite or self.reached is None or _waited(row, self.set_back):
            return False
        is_leap = row.at > self.reached + TOLERANCE
        return is_leap and row.at > self.now - TRANSACTION_TIMEOUT


async def judge(session: Tx) -> Judge:
    """Return the judge of entries, from what is sealed."""
    latest = await chain.latest(session, most=LOOK_BACK)
    set_back = await _set_back(session)
    now = await session.read_clock()
    since = [row.at for row in latest if _tells_time(row, set_back, now=now)]
    return Judge(
        now=now,
        head=latest[0] if latest else None,
        reached=max(since, default=None),
        set_back=set_back,
        highest=max(map(chain.id_of, latest), default=chain.BELOW_ALL),
        is_sqlite=session.is_sqlite,
    )


async def refused(store: Store) -> list[tuple[AuditRow, str]]:
    """Return the entries that the sealer leaves out, with why; of the first 5,000."""
    found: list[tuple[AuditRow, str]] = []
    after = chain.BELOW_ALL
    async with store.read() as session:
        judging = await judge(session)
        for _ in range(MOST_PAGES):
            rows = await judging.unsealed(session, after=after)
            for row in rows:
                why = judging.why_refused(row)
                if why is not None:
                    found.append((row, why))
            if len(rows) < chain.BATCH:
                break
            after = chain.id_of(rows[-1])
    return found


async def _set_back(session: Tx) -> AuditRow | None:
    """Return the last sealed record of a clock set back; unsealed ones do not count."""
    query = (
        select(AuditRow)
        .where(
            col(AuditRow.kind) == CLOCK_SET_BACK, col(AuditRow.position).is_not(None)
        )
        .order_by(col(AuditRow.id).desc())
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def _time_after(session: Tx, entry: int) -> datetime:
    """Return the time of the sealed entry with the next higher id; one must exist."""
    query = (
        select(AuditRow.at)
        .where(col(AuditRow.id) > entry, col(AuditRow.position).is_not(None))
        .order_by(col(AuditRow.id))
        .limit(1)
    )
    return (await session.execute(query)).scalar_one()


def _tells_time(row: AuditRow, set_back: AuditRow | None, *, now: datetime) -> bool:
    """Tell whether this sealed entry may define the log's time."""
    if set_back is None:
        return True
    is_since = (row.position or 0) >= (set_back.position or 0)
    is_ahead = row.at > now + AHEAD
    return is_since and not (is_ahead and _is_of_old_clock(row, set_back))


def _waited(row: AuditRow, set_back: AuditRow | None) -> bool:
    """Tell whether an entry waited to be sealed when the clock was set back."""
    after, up_to, _ = _of_set_back(set_back)
    return after < chain.id_of(row) <= up_to


def _is_of_old_clock(row: AuditRow, set_back: AuditRow | None) -> bool:
    """Tell whether its time is from before the clock was set back."""
    _, _, was = _of_set_back(set_back)
    return was is not None and row.at <= was + TOLERANCE


def _of_set_back(row: AuditRow | None) -> tuple[int, int, datetime | None]:
    if row is None:
        return 0, 0, None
    said: dict[str, Any] = json.loads(row.payload)
    return int(said["after"]), int(said["up_to"]), datetime.fromisoformat(said["was"])
