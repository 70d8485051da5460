"""Pausing, resuming and cancelling one run."""

from keyturn.orchestrator.store import holds, outbox
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db import overstayed
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.runs import bulk_scope
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.tables import (
    RunRow,
)


async def pause(store: Store, run: str, *, by: str, reason: str) -> RunRow:
    """Hold a run: no model is called and nothing is sent until it is resumed."""
    return await overstayed.with_way_made(
        store, lambda: _pause(store, run, by=by, reason=reason)
    )


async def _pause(store: Store, run: str, *, by: str, reason: str) -> RunRow:
    async with store.write() as session:
        await session.raise_barrier()
        resumes = await bulk_scope.spare(session, run, verb="resume")
        row = await run_lookup.lock(session, run)
        run_lookup.must_be_open(row)
        now = await session.read_clock()
        # A run in a bulk resume is no longer paused: this pause is its own.
        is_resumed = any(bulk_scope.matches(one, row) for one in resumes)
        if row.paused_by is None or is_resumed:
            run_lookup.mark_paused(row, by=by, reason=reason, at=now)
            entry = run_lookup.entry_of(row, "run.paused", by=by, reason=reason)
            log.record(session, entry, at=now)
        return row


async def resume(store: Store, run: str, *, by: str, reason: str) -> RunRow:
    """Continue a paused run; its deadlines move by the time it was held.

    A run that nothing holds is signalled all the same: it checks what it waits for.
    """
    async with store.write() as session:
        await bulk_scope.spare(session, run, verb="pause")
        row = await run_lookup.lock(session, run)
        run_lookup.must_be_open(row)
        now = await session.read_clock()
        if row.paused_by is not None or row.stopped_by is not None:
            row.paused_by = row.pause_reason = None
            await holds.free_paused(session, [row])
            # Nobody has looked yet: it waits to be picked up, as when it began.
            await holds.go_on(session, row, status="queued")
            outbox.add(session, "resume", run, at=now)
            entry = run_lookup.entry_of(row, "run.resumed", by=by, reason=reason)
            log.record(session, entry, at=now)
        elif row.status != "queued":
            outbox.add(session, "wake", run, at=now)
            entry = run_lookup.entry_of(row, "run.rung", by=by, reason=reason)
            log.record(session, entry, at=now)
        return row


async def cancel(store: Store, run: str, *, by: str, reason: str) -> RunRow:
    """End a run: what waits is cancelled, what is being sent is still recorded."""
    return await overstayed.with_way_made(
        store, lambda: _cancel(store, run, by=by, reason=reason)
    )


async def _cancel(store: Store, run: str, *, by: str, reason: str) -> RunRow:
    async with store.write() as session:
        await session.raise_barrier()
        row = await run_lookup.lock(session, run)
        run_lookup.must_be_open(row)
        now = await session.read_clock()
        if row.cancel_reason is None:
            await run_lookup.mark_cancelled(session, row, reason=reason, at=now)
            entry = run_lookup.entry_of(row, "run.cancelled", by=by, reason=reason)
            log.record(session, entry, at=now)
        return row
