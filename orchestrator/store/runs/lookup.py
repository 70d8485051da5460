"""A run by its id, read or locked; the lock also applies what a bulk action set."""

from datetime import datetime

from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.status import (
    ENDED_RUNS,
)
from keyturn.orchestrator.store import holds, outbox
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db import locks
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.runs import bulk_scope, closure
from keyturn.orchestrator.store.runs.errors import RunEnded
from keyturn.orchestrator.store.tables import (
    RunRow,
)


async def get(session: Tx, run: str) -> RunRow:
    """Return the run, or raise `NotFound`."""
    row = await session.get(RunRow, run)
    if row is None:
        raise NotFound(kind="run", name=run)
    return row


async def lock(session: Tx, run: str) -> RunRow:
    """Lock the run and mark it with what a bulk action set; raises `NotFound`."""
    row = await locks.run(session, run)
    if row is None:
        raise NotFound(kind="run", name=run)
    if row.status not in ENDED_RUNS:
        await _stand_under(session, row)
    return row


async def _stand_under(session: Tx, row: RunRow) -> None:
    """Mark a locked run with the bulk pause or cancel that has not reached it yet."""
    for bulk in await bulk_scope.over(session, row):
        if bulk.verb == "cancel" and row.cancel_reason is None:
            # All of it, because it may be stopped before it reaches the run by itself.
            await mark_cancelled(session, row, reason=bulk.reason, at=bulk.created_at)
            entry = entry_of(row, "run.cancelled", by=bulk.by, reason=bulk.reason)
            log.record(session, entry, at=bulk.created_at)
        elif bulk.verb == "pause" and row.paused_by is None:
            mark_paused(row, by=bulk.by, reason=bulk.reason, at=bulk.created_at)
            entry = entry_of(row, "run.paused", by=bulk.by, reason=bulk.reason)
            log.record(session, entry, at=bulk.created_at)


def mark_paused(row: RunRow, *, by: str, reason: str, at: datetime) -> None:
    """Mark a run as paused since then."""
    row.paused_by, row.pause_reason = by, reason
    holds.stop(row, hold.by_pause(by), now=at)


async def mark_cancelled(
    session: Tx, row: RunRow, *, reason: str, at: datetime
) -> None:
    """Mark a run as cancelled, close what waits, and signal it."""
    row.cancel_reason = reason
    await closure.cancel_approvals(session, row.id, now=at)
    outbox.add(session, "cancel", row.id, at=at)


def must_be_open(row: RunRow) -> None:
    """Raise `RunEnded` if the run has ended."""
    if row.status in ENDED_RUNS:
        raise RunEnded(row.id, row.status)


def entry_of(
    row: RunRow, kind: str, *, by: str, reason: str | None = None
) -> log.Entry:
    """Return the audit entry of an event of a run, with the person who caused it."""
    return log.Entry(
        actor=by,
        kind=kind,
        tenant=row.tenant,
        run=row.id,
        payload={"reason": reason} if reason else {},
    )
