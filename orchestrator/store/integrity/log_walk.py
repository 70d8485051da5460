"""A walk through the whole audit log: whether it is intact, what it says of rows."""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence

from keyturn.orchestrator.rules.text import json_object
from keyturn.orchestrator.store.audit import chain
from keyturn.orchestrator.store.db.audit_entries import ROWS
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.integrity import plausibility
from keyturn.orchestrator.store.integrity.discrepancies import MOST_SHOWN, Discrepancies
from keyturn.orchestrator.store.integrity.row_statements import Said
from keyturn.orchestrator.store.tables import AuditRow

# The entry that an upgrade writes into a log whose entries carry no digests yet.
DIGESTS_BEGIN = "audit.digests_begin"
# Entries of these kinds report a row that their own transaction wrote.
REPORTS_A_ROW = frozenset(
    {
        "approval.asked",
        "call.answered",
        "decision.approve",
        "decision.change",
        "decision.reject",
        "effect.done",
        "effect.failed",
        "effect.leased",
        "effect.unknown",
        "person.added",
        "run.started",
        "switch.cleared",
        "token.created",
        "turn",
    }
)
# This many entries may have got their ids earlier and commit later.
RACING = 1_000
# Called with the phase and the number of entries read.
Progress = Callable[[str, int], None]


class LogWalk:
    """Reads the log in its order, and continues from its last position."""

    def __init__(
        self, store: Store, said: Said, checkpoint: str | None, progress: Progress
    ) -> None:
        self._store = store
        self.said = said
        self.progress = progress
        self.findings = Discrepancies()
        self.position, self.head = 0, chain.GENESIS
        self.unsealed = 0
        self._newest = 0
        self._checkpoint = checkpoint
        self._seen = checkpoint in (None, chain.GENESIS)
        self._broken: tuple[int, str] | None = None
        self._has_digests = False
        self._undigested = 0
        self._first_undigested: int | None = None
        self.begun: AuditRow | None = None
        self._reported: set[int] = set()

    @property
    def broken(self) -> tuple[int, str] | None:
        """Return the first break of the chain, and the reason."""
        lost = (self.position, "the published checkpoint is not in the log")
        return self._broken or (None if self._seen else lost)

    @property
    def undigested(self) -> int:
        """Return how many entries are older than the digests."""
        return self._undigested if self.begun else 0

    async def log(self) -> None:
        """Read all sealed entries, then the unsealed ones."""
        await self.catch_up()
        async with self._store.read() as session:
            self.unsealed = await chain.count_unsealed(session)
        if self._first_undigested is not None and self.begun is None:
            self.findings.add(
                "entries have no digests of rows",
                f"audit entry {self._first_undigested}",
                f"{self._undigested} such entries, and no upgrade that explains them",
                "cannot be compared with them",
                "Find out which process wrote them; end those of an older version.",
            )

    async def catch_up(self) -> None:
        """Read what was written meanwhile, by pages."""
        while True:
            async with self._store.read() as session:
                rows = await chain.sealed(session, after=self.position)
            # Other tasks run while a page is hashed.
            await asyncio.to_thread(self._take_sealed, rows)
            if len(rows) < chain.BATCH:
                break
        after = chain.BELOW_ALL
        while True:
            async with self._store.read() as session:
                rows = await chain.unsealed(session, after=after)
            await asyncio.to_thread(self._take, rows)
            if rows:
                after = self._newest = chain.id_of(rows[-1])
            if len(rows) < chain.BATCH:
                break

    async def take_rest(self, session: Tx) -> None:
        """Read everything written since, as this transaction sees it."""
        while rows := await chain.sealed(session, after=self.position):
            self._take_sealed(rows)
        after = self._newest - RACING
        while rows := await chain.unsealed(session, after=after):
            self._take(rows)
            after = chain.id_of(rows[-1])

    async def look_for_refused(self) -> None:
        """Report the entries that the sealer leaves out."""
        for row, why in await plausibility.refused(self._store):
            self.findings.add(
                f"the sealer skips it: {why}",
                f"audit entry {row.id}",
                "nothing of it",
                f"has {row.kind!r} by {row.actor}",
                "Find out who wrote it; nothing vouches for it.",
            )

    async def look_for_holes(self) -> None:
        """Report missing ids: SQLite assigns each id, and none twice.

        PostgreSQL leaves out the ids of transactions that were rolled back.
        """
        after, expected = chain.BELOW_ALL, 1
        while self._store.is_sqlite:
            async with self._store.read() as session:
                ids = await chain.ids(session, after=after)
            for entry in ids:
                if entry != expected:
                    self.findings.add(
                        "ids have a gap: entries were deleted or inserted",
                        f"audit entries {min(expected, entry)} to {entry}",
                        "ids that follow each other",
                        f"has {entry} where {expected} comes next",
                        "Compare the log with a backup.",
                    )
                after, expected = entry, entry + 1
            if len(ids) < chain.BATCH:
                break

    def _take_sealed(self, rows: Sequence[AuditRow]) -> None:
        for row in rows:
            position = self.position + 1
            why = chain.why_broken(row, position=position, previous=self.head)
            if why is not None and self._broken is None:
                self._broken = (position, why)
            self.position, self.head = row.position or position, row.hash or ""
            self._seen = self._seen or row.hash == self._checkpoint
        self._take(rows)
        self.progress("entries", self.position)

    def _take(self, rows: Sequence[AuditRow]) -> None:
        self.said.take(said for row in rows for said in self._said(row))

    def _said(self, row: AuditRow) -> Iterable[tuple[str, str | None, int]]:
        found = _rows_of(row)
        entry = chain.id_of(row)
        if row.kind == DIGESTS_BEGIN:
            self._begin(row)
        elif found:
            self._has_digests = True
        else:
            self._note_undigested(row)
        return [(name, said, entry) for name, said in found.items()]

    def _begin(self, row: AuditRow) -> None:
        if self.begun is not None and self.begun.id == row.id:
            return
        if self._has_digests or self.begun is not None:
            self._once(
                row,
                "says that digests begin here",
                "the log has digests before it",
                "No upgrade wrote this: find out who did.",
            )
            return
        self.begun = row

    def _note_undigested(self, row: AuditRow) -> None:
        if row.kind not in REPORTS_A_ROW:
            return
        if self._has_digests or self.begun is not None:
            self._once(
                row,
                f"an entry of kind {row.kind!r} has no digest of a row",
                "digests began before it",
                "Find out who wrote it; end processes of an older version.",
            )
            return
        self._undigested += 1
        self._first_undigested = self._first_undigested or row.id

    def _once(self, row: AuditRow, what: str, why: str, remedy: str) -> None:
        # Unsealed entries are read again and again.
        if row.id in self._reported:
            return
        if len(self._reported) < MOST_SHOWN:
            self._reported.add(chain.id_of(row))
        place = f"audit entry {row.id}"
        self.findings.add(what, place, why, "is no part of it", remedy)


def _rows_of(row: AuditRow) -> dict[str, str | None]:
    try:
        payload = json.loads(row.payload)
    except ValueError:
        return {}
    said = payload.get(ROWS) if json_object.is_object(payload) else None
    if not json_object.is_object(said):
        return {}
    return {name: None if one is None else str(one) for name, one in said.items()}
