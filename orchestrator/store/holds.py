"""Holds in the record: what stands still, since when, and which runs lifting signals.

A hold is recorded with what it holds: a call, or a step whose next turn, or whose run's
end, it prevents. A run is stopped while all that it could do is held.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlmodel import col, or_, select, union, update

from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.rules.authority.hold import Hold
from keyturn.orchestrator.rules.money.budget import TURNS_PER_STEP
from keyturn.orchestrator.rules.status import ENDED_RUNS, RunStatus
from keyturn.orchestrator.store import outbox
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.status import run as run_status
from keyturn.orchestrator.store.tables import ApprovalRow, CallRow, RunRow, StepRow

# P9: no decision lasts longer than a week, however many pauses there were.
LONGEST_USABLE = timedelta(days=7)


async def hold_call(session: Tx, run: RunRow, call: CallRow, by: Hold) -> None:
    """Record what holds a call of a locked run; the clocks of its approval stop.

    The hold may have begun before it was noticed (`by.since`).
    """
    call.held_by, call.held_seen = str(by), session.now
    call.held_at = call.held_at or max(by.since or session.now, call.created_at)
    for approval in await _waiting(session, run.id, call):
        if approval.held_at is None:
            began = approval.closed_at or approval.created_at
            approval.held_at = max(call.held_at, began)
    await settle(session, run, status="waiting")


async def free_call(session: Tx, run: RunRow, call: CallRow) -> None:
    """Record that nothing holds a call of a locked run any more."""
    if call.held_by is None:
        return
    # Its own clock counts from when the run as a whole was stopped.
    until = min(session.now, run.stopped_at or session.now)
    for approval in await _waiting(session, run.id, call):
        if approval.held_at is not None:
            _move(approval, since=approval.held_at, until=until)
            approval.held_at = None
    call.held_by = call.held_at = call.held_seen = None


async def free_paused(session: Tx, runs: Sequence[RunRow]) -> None:
    """Record that a pause no longer holds any call of these locked runs."""
    calls = await of_runs(session, [run.id for run in runs])
    for run in runs:
        for call in calls.get(run.id, ()):
            by = hold.parse(call.held_by)
            if by is not None and by.kind == "pause":
                await free_call(session, run, call)


async def hold_step(session: Tx, run: RunRow, step: StepRow | None, by: Hold) -> None:
    """Record what prevents a step's next turn, or the run's end."""
    if step is None:
        stop(run, by, now=session.now)
        return
    step.held_by, step.held_seen = str(by), session.now
    await settle(session, run, status="waiting")


async def settle(session: Tx, run: RunRow, *, status: RunStatus | None = None) -> None:
    """Update whether a locked run is stopped: paused, or all that it could do is held.

    A run that was stopped continues as `status`; None leaves one that waits to be
    picked up.
    """
    if run.status in ENDED_RUNS:
        return
    by = (
        hold.by_pause(run.paused_by)
        if run.paused_by is not None
        else await _holds_all(session, run.id)
    )
    if by is not None:
        stop(run, by, now=session.now)
    elif run.status == "stopped" or (run.status == "queued" and status is not None):
        await go_on(session, run, status=status or "waiting")


def stop(run: RunRow, by: Hold, *, now: datetime) -> None:
    """Mark a run as held as a whole; its clocks stop."""
    run_status.move(run, "stopped")
    run.stopped_by = str(by)
    run.stopped_at = run.stopped_at or now


async def go_on(session: Tx, run: RunRow, *, status: RunStatus) -> None:
    """Mark a run that was held, or waits to be picked up, as `status`.

    Open deadlines move by the time the run was held (P9).
    """
    if run.status not in ("stopped", "queued"):
        return
    if run.stopped_at is not None:
        await _move_all(session, run, since=run.stopped_at)
    run.stopped_at = run.stopped_by = None
    run_status.move(run, status)


async def clear(session: Tx, run: str) -> None:
    """Clear the holds of a run that ends."""
    for table, nothing in (
        (CallRow, {"held_by": None, "held_at": None, "held_seen": None}),
        (StepRow, {"held_by": None, "held_seen": None, "needs": None}),
    ):
        held = update(table).where(
            col(table.run) == run, col(table.held_by).is_not(None)
        )
        await session.execute(held.values(**nothing))


async def signal(session: Tx, by: Collection[Hold]) -> list[str]:
    """Signal every open run in which any of these holds anything; return their ids."""
    runs = list((await session.execute(_held_by({str(one) for one in by}))).scalars())
    for run in runs:
        outbox.add(session, "resume", run, at=session.now)
    return runs


def _held_by(by: Collection[str]):  # noqa: ANN202 an SQL statement
    held = union(
        select(RunRow.id).where(
            col(RunRow.stopped_by).in_(by), col(RunRow.stopped_by).is_not(None)
        ),
        select(CallRow.run).where(
            col(CallRow.held_by).in_(by), col(CallRow.held_by).is_not(None)
        ),
        select(StepRow.run).where(
            col(StepRow.held_by).in_(by), col(StepRow.held_by).is_not(None)
        ),
    ).subquery()
    return (
        select(RunRow.id)
        .where(
            col(RunRow.id).in_(select(held.c[0])), col(RunRow.status).not_in(ENDED_RUNS)
        )
        .order_by(col(RunRow.id))
    )


async def of_runs(session: Tx, runs: Collection[str]) -> dict[str, list[CallRow]]:
    """Return the held calls, in their order, by run."""
    query = (
        select(CallRow)
        .where(col(CallRow.run).in_(runs), col(CallRow.held_by).is_not(None))
        .order_by(col(CallRow.run), col(CallRow.turn), col(CallRow.index))
    )
    found: dict[str, list[CallRow]] = {}
    for call in (await session.execute(query)).scalars():
        found.setdefault(call.run, []).append(call)
    return found


async def of_approval(session: Tx, approval: ApprovalRow) -> str | None:
    """Return what holds the call of an approval, or None."""
    call = await session.get(CallRow, (approval.run, approval.turn, approval.index))
    return call.held_by if call is not None else None


async def has_held_siblings(session: Tx, run: str) -> bool:
    """Tell whether anything holds a call of the run."""
    query = select(CallRow.run).where(
        col(CallRow.run) == run,
        col(CallRow.held_by).is_not(None),
        col(CallRow.status) == "open",
    )
    return (await session.execute(query.limit(1))).first() is not None


async def _holds_all(session: Tx, run: str) -> Hold | None:
    """Return what holds the first of all that the run could do; None if any is free.

    A step whose turn has open calls waits for them; else its next turn is what is held.
    """
    await session.flush()
    calls = select(CallRow.turn, CallRow.held_by).where(
        col(CallRow.run) == run, col(CallRow.status) == "open"
    )
    open_calls = (await session.execute(calls)).all()
    steps = select(StepRow.step, StepRow.held_by).where(
        col(StepRow.run) == run,
        or_(col(StepRow.output).is_(None), col(StepRow.held_by).is_not(None)),
    )
    busy = {(turn - 1) // TURNS_PER_STEP + 1 for turn, _ in open_calls}
    found = [by for _, by in open_calls]
    found += [
        by for step, by in (await session.execute(steps)).all() if step not in busy
    ]
    return hold.parse(found[0]) if found and all(found) else None


async def _waiting(
    session: Tx, run: str, call: CallRow | None = None
) -> list[ApprovalRow]:
    query = select(ApprovalRow).where(
        col(ApprovalRow.run) == run,
        col(ApprovalRow.status).in_(("pending", "approved")),
        col(ApprovalRow.consumed_by).is_(None),
    )
    if call is not None:
        query = query.where(
            col(ApprovalRow.turn) == call.turn, col(ApprovalRow.index) == call.index
        )
    return list((await session.execute(query)).scalars())


async def _move_all(session: Tx, run: RunRow, *, since: datetime) -> None:
    for approval in await _waiting(session, run.id):
        if approval.held_at is None:
            _move(approval, since=since, until=session.now)
        else:
            # Its call is still held: the time that has passed so far counts once.
            _move(approval, since=min(approval.held_at, since), until=session.now)
            approval.held_at = session.now


def _move(approval: ApprovalRow, *, since: datetime, until: datetime) -> None:
    # Only time within its own life counts: a request made in a pause moves less.
    began = approval.closed_at or approval.created_at
    held = max(until - max(since, began), timedelta(0))
    if approval.undo_until is not None and approval.undo_until > since:
        approval.undo_until += held
    if approval.usable_until is None:
        approval.answer_by += held
        if approval.warn_at is not None:
            approval.warn_at += held
    else:
        latest = began + LONGEST_USABLE
        approval.usable_until = min(approval.usable_until + held, latest)
