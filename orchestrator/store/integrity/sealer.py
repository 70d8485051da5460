"""The sealer: chains committed entries, and leaves out those that are not plausible.

Refused entries stay unsealed, are reported in one critical incident, and by
`integrity.verification`. `integrity.plausibility` says what is refused.
"""

from dataclasses import dataclass
from itertools import pairwise

from sqlmodel import col, select

from keyturn.orchestrator.rules.status import Severity
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.audit import chain
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.incidents import incidents
from keyturn.orchestrator.store.incidents.incidents import NewIncident
from keyturn.orchestrator.store.integrity import plausibility
from keyturn.orchestrator.store.integrity.plausibility import CLOCK_SET_BACK, Judge
from keyturn.orchestrator.store.tables import AuditRow

SEALER = "audit-sealer"
REFUSED = "audit entries are not sealed"
CHANGED = "sealed audit entries were changed"
SET_BACK = "the database's clock was set back"


@dataclass
class Sealer:
    """Chains committed entries; remembers what it sealed last, and checks for it."""

    store: Store
    _last: tuple[int, str] | None = None
    # Where the next check begins: after refused entries, if there are very many.
    _after: int = chain.BELOW_ALL

    async def seal(self) -> int:
        """Chain the committed entries that are not chained yet; return how many.

        At most 500 of them. Any process may call it: one at a time does the work,
        others wait.
        """
        async with self.store.read() as session:
            changed = await self._why_changed(session)
            waiting = await chain.unsealed(session, most=1)
        sealed = await self._seal() if waiting else 0
        if changed is not None:
            self._last = None
            await self._tell_changed(changed)
        return sealed

    async def _seal(self) -> int:
        refused: list[tuple[AuditRow, str]] = []
        async with self.store.write() as session:
            await session.take_turn(SEALER)
            judging = await plausibility.judge(session)
            set_back: list[AuditRow] = []
            if judging.is_set_back:
                set_back = [await _record_set_back(session, judging)]
            chosen = await self._choose(session, judging, refused)
            chain.extend(judging.head, chosen)
        rows = [*set_back, *chosen]
        if rows:
            self._last = (rows[-1].position or 0, rows[-1].hash or "")
        if set_back:
            await self._tell_set_back(set_back[0])
        if refused:
            await self._tell_refused(*refused[0])
        return len(rows)

    async def _choose(
        self,
        session: Tx,
        judging: Judge,
        refused: list[tuple[AuditRow, str]],
    ) -> list[AuditRow]:
        """Return the entries that can be sealed, and add the others to `refused`."""
        chosen: list[AuditRow] = []
        after = self._after
        for _ in range(plausibility.MOST_PAGES):
            rows = await judging.unsealed(session, after=after)
            for row in rows:
                why = judging.why_refused(row)
                if why is not None:
                    refused.append((row, why))
                elif not judging.is_early(row):
                    chosen.append(row)
                if len(chosen) == chain.BATCH:
                    return _before_a_leap(chosen)
            if len(rows) < chain.BATCH:
                self._after = chain.BELOW_ALL
                return chosen
            after = chain.id_of(rows[-1])
        self._after = after
        return chosen

    async def _why_changed(self, session: Tx) -> str | None:
        """Return what is wrong with the end of the chain, as this process knows it."""
        head = await chain.head(session)
        if head is not None and head.hash != chain.hash_of(head):
            return f"entry {head.id}, number {head.position} of the chain, was changed"
        if self._last is None:
            return None
        position, known = self._last
        row = await chain.at(session, position)
        if row is None:
            return f"the entry that was sealed as number {position} is gone"
        if row.hash != known:
            return f"entry {row.id}, number {position} of the chain, was replaced"
        return None

    async def _tell_refused(self, row: AuditRow, why: str) -> None:
        await self._open(
            REFUSED,
            f"entry {row.id}",
            f"The audit entry {row.id} is not sealed: {why}. Something other than Keyturn "
            "may have written it; `keyturn audit verify` lists all such entries.",
        )

    async def _tell_changed(self, why: str) -> None:
        await self._open(
            CHANGED,
            why,
            f"In the audit log {why}. This happens if the database is restored from a backup "
            "while processes are running. If it was not, something other than Keyturn wrote "
            "into it: run `keyturn audit verify`, and compare with a backup.",
        )

    async def _tell_set_back(self, row: AuditRow) -> None:
        await self._open(
            SET_BACK,
            f"entry {row.id}",
            f"The clock was set back to {row.at.isoformat()}; the audit entry {row.id} "
            "shows the time before. Deadlines and leases depend on the clock: correct it.",
            severity="high",
        )

    async def _open(
        self, source: str, what: str, words: str, *, severity: Severity = "critical"
    ) -> None:
        """Open the one incident of its kind, unless one is open."""
        async with self.store.read() as session:
            if await incidents.is_any_open(session, f"{source}: "):
                return
        found = NewIncident(
            severity=severity,
            title=f"{source[:1].upper()}{source[1:]}",
            source=f"{source}: {what}",
            detail={"words": words},
        )
        await incidents.open_once(self.store, found, by=incidents.SYSTEM)


def _before_a_leap(rows: list[AuditRow]) -> list[AuditRow]:
    """Leave a late leap of the clock, and entries beside it, to the next batch.

    Transactions that began before the leap have higher ids, and would look dated back
    there.
    """
    late = rows[-plausibility.LOOK_BACK :]
    for place, (row, following) in enumerate(pairwise(late), start=1):
        if following.at > row.at + plausibility.TOLERANCE:
            return rows[: len(rows) - len(late) + place]
    return rows


async def _record_set_back(session: Tx, judging: Judge) -> AuditRow:
    """Add the entry from which the log's time continues; it names what waits."""
    was = judging.reached or judging.now
    newest = select(AuditRow.id).order_by(col(AuditRow.id).desc()).limit(1)
    sealed = newest.where(col(AuditRow.position).is_not(None))
    said = {
        "was": was.isoformat(),
        "after": (await session.execute(sealed)).scalar_one(),
        "up_to": (await session.execute(newest)).scalar_one(),
    }
    row = AuditRow(
        at=judging.now,
        actor=incidents.SYSTEM,
        kind=CLOCK_SET_BACK,
        payload=canonical.text(said),
    )
    session.add(row)
    await session.flush()
    chain.extend(judging.head, [row])
    judging.restart(row)
    return row
