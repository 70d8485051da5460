"""The daily reconciliation: reads external books and reports where the ledger differs.

It runs in a worker that has no credentials for writing, and its keys are read-only.
"""

import asyncio
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from keyturn.orchestrator.rules import pace
from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.rules.money.reconciliation import (
    BooksAway,
    BooksUnusable,
    Difference,
    MailLog,
    Statement,
    match_mails,
    match_statement,
)
from keyturn.orchestrator.rules.pace import Pace
from keyturn.orchestrator.rules.status import Severity
from keyturn.orchestrator.store.db import job_lease
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.effects import late_failure
from keyturn.orchestrator.store.effects.errors import NotDone
from keyturn.orchestrator.store.effects.late_failure import Later
from keyturn.orchestrator.store.incidents import incidents
from keyturn.orchestrator.store.incidents import statement as incident_statement
from keyturn.orchestrator.store.incidents.incidents import NewIncident
from keyturn.orchestrator.store.incidents.statement import SYSTEM, Seen, Side
from keyturn.orchestrator.store.tables import MatchingRow

JOB = "matching"
LOOKS = Pace(busy_s=2.0, idle_s=5.0)
# Longer than a reconciliation may take, so that nobody else begins one meanwhile.
LEASE = timedelta(minutes=10)
READ_WITHIN_S = 240.0
# A provider's books may be this late, and its clock may differ.
SETTLE = timedelta(minutes=15)
SKEW = timedelta(minutes=10)
# A mail is sent at most this long after its effect was first leased.
LONGEST_ON_ITS_WAY = timedelta(days=8)
# More than these at once mean that the books are wrong: they become one incident.
MOST_INCIDENTS = 20
MISSES = 3
SEVERITY: dict[str, Severity] = {
    "missing": "high",
    "tenant": "high",
    "later": "high",
    "stranger": "critical",
    "amount": "critical",
    "twice": "critical",
    "unsent": "critical",
}
log = structlog.get_logger()


@dataclass(frozen=True)
class Matcher:
    """Reconciles the configured books; None: no such book is configured."""

    store: Store
    statement: Statement | None
    mail_log: MailLog | None
    settle: timedelta = SETTLE
    holder: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")

    @property
    def is_configured(self) -> bool:
        """Return whether any book is configured."""
        return self.statement is not None or self.mail_log is not None

    async def forever(self) -> None:
        """Reconcile every day, and on request; one of all processes does it."""
        await pace.repeat(self._look, pace=LOOKS)

    async def _look(self) -> bool:
        try:
            return await self.match_due() is not None
        except StoreUnavailable as error:
            log.warning("matching.store_away", error=str(error))
            return False

    async def match_due(self) -> MatchingRow | None:
        """Do the due reconciliation; None if not due, or if another process does it."""
        if not await incident_statement.is_due(self.store, daily=self.is_configured):
            return None
        mine = await job_lease.take(self.store, JOB, holder=self.holder, period=LEASE)
        if not mine or not await incident_statement.is_due(
            self.store, daily=self.is_configured
        ):
            return None
        return await self._match(await incident_statement.begin(self.store))

    async def _match(self, row: MatchingRow) -> MatchingRow:
        since, until = row.since, row.until
        if since is None or until is None:
            raise AssertionError(row.id)
        window = _Window(since=since, settled=until - self.settle)
        statement = await self._side("statement", row.id, window)
        mail = await self._side("mail", row.id, window)
        ended = await incident_statement.end(self.store, row.id, statement, mail)
        if ended.status == "failed" and self.is_configured:
            await self._count_misses(ended)
        return ended

    async def _side(self, name: str, matching: str, window: "_Window") -> Side:
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                found = await (
                    self._statement(window)
                    if name == "statement"
                    else self._mails(window)
                )
        except BooksUnusable as error:
            return Side(state="unusable", words=str(error))
        except (BooksAway, TimeoutError) as error:
            words = str(error) or f"It took longer than {READ_WITHIN_S:.0f} s to read."
            return Side(state="away", words=words)
        if found is None:
            return Side(state="not_configured", words=NOT_CONFIGURED[name])
        read, differences = found
        return Side(
            state="matched",
            read=read,
            differing=len(differences),
            differences=await self._report(name, matching, differences),
        )

    async def _statement(
        self, window: "_Window"
    ) -> tuple[int, list[Difference]] | None:
        if self.statement is None:
            return None
        expected = await incident_statement.moved_since(
            self.store, window.since, settled=window.settled
        )
        first = min((e.sent_at for e in expected if e.sent_at), default=window.since)
        lines = await self.statement.lines(min(first, window.since) - SKEW)
        # Read after the lines: every effect with a line was in the ledger before it.
        known = await incident_statement.entries(
            self.store, (line.key for line in lines), settled=window.settled
        )
        return len(lines), match_statement(lines, known, expected)

    async def _mails(self, window: "_Window") -> tuple[int, list[Difference]] | None:
        if self.mail_log is None:
            return None
        mails = await self.mail_log.mails(window.since - SKEW)
        entries = await incident_statement.sent_since(
            self.store, window.since - LONGEST_ON_ITS_WAY, settled=window.settled
        )
        read_from = window.since
        known = [
            # Its mail may have left before the part of the log that was read.
            entry.model_copy(update={"mailed_as": None})
            if entry.sent_at is None or entry.sent_at < read_from
            else entry
            for entry in entries
        ]
        return len(mails), match_mails(mails, known)

    async def _report(
        self, name: str, matching: str, differences: Sequence[Difference]
    ) -> tuple[Seen, ...]:
        """Open an incident for each difference; for very many, one in total."""
        if len(differences) > MOST_INCIDENTS:
            incident = await self._open_flood(name, matching, differences)
            return tuple(_seen(d, incident) for d in differences[:MOST_INCIDENTS])
        return tuple([_seen(d, await self._open(d)) for d in differences])

    async def _open(self, one: Difference) -> str | None:
        line = one.line
        if one.kind == "later" and line is not None:
            later = Later(
                how="reversed" if line.status == "reversed" else "failed",
                words=one.words,
                by=SYSTEM,
                by_name="the statement",
                reference=line.reference,
            )
            try:
                reopened = await late_failure.reopen(self.store, one.key, later)
            except NotDone:
                # It was recorded after it was read here.
                return None
            return reopened.id if reopened else None
        row, _ = await incidents.open_once(self.store, _incident(one), by=SYSTEM)
        return row.id

    async def _open_flood(
        self, name: str, matching: str, differences: Sequence[Difference]
    ) -> str | None:
        begins = f"{name}:many:"
        async with self.store.read() as session:
            if await incidents.is_any_open(session, begins):
                return None
        words = [f"{d.key}: {d.words}" for d in differences[:MOST_INCIDENTS]]
        new = NewIncident(
            severity="critical",
            title=f"The ledger and the {name} differ in {len(differences)} places",
            source=f"{begins}{matching}",
            detail={
                "words": "So many at once say that the wrong books were read, or that "
                "they are damaged. No effect was reopened. The first of them:",
                "differences": [*words],
            },
        )
        row, _ = await incidents.open_once(self.store, new, by=SYSTEM)
        return row.id

    async def _count_misses(self, row: MatchingRow) -> None:
        if await incident_statement.failed_in_a_row(self.store, most=MISSES) < MISSES:
            return
        async with self.store.read() as session:
            if await incidents.is_any_open(session, "matching:away:"):
                return
        words = [
            str(side["words"])
            for side in (row.statement, row.mail)
            if side and side["state"] in ("away", "unusable")
        ]
        new = NewIncident(
            severity="high",
            title=f"The books could not be read {MISSES} times in a row",
            source=f"matching:away:{row.id}",
            detail={"words": " ".join(words)},
        )
        await incidents.open_once(self.store, new, by=SYSTEM)


@dataclass(frozen=True)
class _Window:
    """The start of the period; effects done before `settled` must be in the books."""

    since: datetime
    settled: datetime


NOT_CONFIGURED = {
    "statement": "No statement is configured; set KEYTURN_STATEMENT_URL.",
    "mail": "No mail log is configured; set KEYTURN_MAIL_LOG_URL.",
}


def _seen(one: Difference, incident: str | None) -> Seen:
    return Seen(kind=one.kind, key=one.key, words=one.words, incident=incident)


def _incident(one: Difference) -> NewIncident:
    line = one.line.model_dump(mode="json") if one.line else None
    return NewIncident(
        severity=SEVERITY[one.kind],
        title=_TITLES[one.kind],
        source=one.source,
        detail={
            "words": one.words,
            # A key of no effect of ours links to nothing.
            **({"effect": one.key} if one.run else {"key": one.key}),
            **({"run": one.run} if one.run else {}),
            **({"line": line} if line else {}),
        },
        tenant=one.tenant,
    )


_TITLES = {
    "missing": "Done by the ledger, and not in the books",
    "stranger": "In the books, and not in the ledger",
    "amount": "The books have another amount than the ledger",
    "tenant": "The books have another tenant than the ledger",
    "twice": "Done twice, by the books",
    "unsent": "Not done by the ledger, and in the books",
    "later": "Failed later",
}
