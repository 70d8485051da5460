"""The outbox: messages for Temporal, delivered until the store shows their outcome."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Select
from sqlmodel import and_, col, or_, select

from keyturn.orchestrator.rules.money.budget import TURNS_PER_STEP
from keyturn.orchestrator.rules.status import COMPENSATE, ENDED_RUNS
from keyturn.orchestrator.rules.text import scrub
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    CallRow,
    OutboxRow,
    RunRow,
    StepRow,
)

Kind = Literal["start", "decision", "resume", "wake", "cancel"]

# A run that has not acted for this long is signalled again, then ever less often: each
# signal is kept in the workflow's history, and a lost signal is lost only once.
SIGNAL_AGAIN = timedelta(seconds=30)
SLOWEST = 7
# How long a delivering process keeps others from delivering the same rows.
CLAIM = timedelta(seconds=10)
# Steps before these have long ended.
LATEST_STEPS = 50


class Delivery(BaseModel):
    """What to deliver to one run: its start, or one signal for everything new.

    `workflow_ids` are the ids of the workflows to signal; none: the run has not begun.
    """

    model_config = ConfigDict(frozen=True)

    ids: tuple[int, ...]
    run: str
    workflow: str
    workflow_ids: tuple[str, ...]


def add(
    session: Tx,
    kind: Kind,
    run: str,
    *,
    at: datetime,
    approval: str | None = None,
) -> OutboxRow:
    """Add one row to this transaction and return it."""
    row = OutboxRow(kind=kind, run=run, approval=approval, created_at=at, due_at=at)
    session.add(row)
    return row


async def claim(
    store: Store, *, limit: int = 50, run: str | None = None
) -> list[Delivery]:
    """Return the due deliveries, claimed for 10 s; rows with an outcome end instead.

    One signal tells a run everything that is new: its rows are delivered together.
    """
    if run is None and not await _is_any_due(store):
        return []
    async with store.write() as session:
        await session.read_clock()
        due = await _due(session, limit=limit, run=run)
        due.sort(key=lambda row: row.run)
        found = [
            await _delivery(session, owner, list(rows))
            for owner, rows in groupby(due, key=lambda row: row.run)
        ]
        return [one for one in found if one is not None]


async def delivered(store: Store, ids: Iterable[int]) -> None:
    """Record that Temporal accepted these; they are sent again if nobody acts."""
    async with store.write(first=True) as session:
        now = await session.read_clock()
        for row in await _by_ids(session, ids):
            row.claimed_until, row.last_error = None, None
            row.due_at = now + SIGNAL_AGAIN * 2 ** min(row.tries - 1, SLOWEST)
            if row.kind == "wake":
                row.done_at = now


async def failed(store: Store, ids: Iterable[int], *, error: str) -> None:
    """Record why Temporal did not accept these; they are retried ever less often."""
    async with store.write() as session:
        now = await session.read_clock()
        for row in await _by_ids(session, ids):
            row.claimed_until, row.last_error = None, scrub.text(error)[:500]
            row.due_at = now + timedelta(seconds=min(30, 2 ** min(row.tries, 5)))


async def _is_any_due(store: Store) -> bool:
    """Tell whether anything waits, without a lock: mostly nothing does."""
    async with store.read() as session:
        query = _unclaimed(select(OutboxRow.id), now=await session.read_clock()).limit(
            1
        )
        return (await session.execute(query)).first() is not None


async def _due(session: Tx, *, limit: int, run: str | None) -> list[OutboxRow]:
    query = (
        _unclaimed(select(OutboxRow), now=session.now)
        .order_by(col(OutboxRow.due_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if run is not None:
        query = query.where(col(OutboxRow.run) == run)
    return list((await session.execute(query)).scalars())


def _unclaimed(query: Select[Any], *, now: datetime) -> Select[Any]:
    """Restrict a query to due rows that nobody delivers now."""
    return query.where(
        col(OutboxRow.done_at).is_(None),
        col(OutboxRow.due_at) <= now,
        or_(col(OutboxRow.claimed_until).is_(None), col(OutboxRow.claimed_until) < now),
    )


async def _by_ids(session: Tx, ids: Iterable[int]) -> list[OutboxRow]:
    query = select(OutboxRow).where(col(OutboxRow.id).in_(ids))
    query = query.order_by(col(OutboxRow.id)).with_for_update()
    return list((await session.execute(query)).scalars())


async def _delivery(session: Tx, owner: str, rows: list[OutboxRow]) -> Delivery | None:
    """Return what to deliver to a run, or None if no row of it needs delivery."""
    run = await session.get(RunRow, owner)
    open_rows: list[OutboxRow] = []
    for row in rows:
        if run is None or await _is_acted_on(session, row, run):
            row.done_at = session.now
        elif row.kind == "decision" and await _is_held(session, row, run):
            # The hold on the run, or on the call, signals it when it is lifted.
            row.due_at = session.now + SIGNAL_AGAIN
        else:
            open_rows.append(row)
    if run is None or not open_rows:
        return None
    for row in open_rows:
        row.claimed_until, row.tries = session.now + CLAIM, row.tries + 1
    return Delivery(
        ids=tuple(row.id for row in open_rows if row.id is not None),
        run=run.id,
        workflow=run.workflow if run.compensates is None else COMPENSATE,
        workflow_ids=await _workflow_ids(session, open_rows),
    )


async def _is_acted_on(session: Tx, row: OutboxRow, run: RunRow) -> bool:
    if run.status in ENDED_RUNS:
        return True
    match row.kind:
        case "start":
            return run.status != "queued"
        case "resume":
            # Resuming signals again.
            return run.paused_by is not None or await _have_looked(session, row, run)
        case "decision":
            return await _is_decision_done(session, row)
        case _:
            return False


async def _is_held(session: Tx, row: OutboxRow, run: RunRow) -> bool:
    approval = await session.get(ApprovalRow, row.approval) if row.approval else None
    is_held = approval is not None and approval.held_at is not None
    return run.paused_by is not None or (
        is_held and approval is not None and approval.status == "approved"
    )


async def _have_looked(session: Tx, row: OutboxRow, run: RunRow) -> bool:
    """Tell whether everything held when the signal was added has looked since."""
    if run.status == "queued":
        return False
    if run.status == "stopped" and not await _has_begun(session, run.id):
        # Only its end can be held, and nothing records when that was last checked.
        return False
    steps = select(StepRow.run).where(_unseen(StepRow, run.id, row.created_at))
    calls = select(CallRow.run).where(
        _unseen(CallRow, run.id, row.created_at), col(CallRow.status) == "open"
    )
    for query in (steps, calls):
        if (await session.execute(query.limit(1))).first() is not None:
            return False
    return True


async def _has_begun(session: Tx, run: str) -> bool:
    steps = select(StepRow.run).where(col(StepRow.run) == run).limit(1)
    return (await session.execute(steps)).first() is not None


def _unseen(table: type[StepRow | CallRow], run: str, since: datetime):  # noqa: ANN202 an SQL condition
    return and_(
        col(table.run) == run,
        col(table.held_by).is_not(None),
        col(table.held_seen) <= since,
    )


async def _is_decision_done(session: Tx, row: OutboxRow) -> bool:
    approval = await session.get(ApprovalRow, row.approval) if row.approval else None
    if approval is None or approval.consumed_by is not None:
        return True
    key = (approval.run, approval.turn, approval.index)
    call = await session.get(CallRow, key)
    return call is None or call.status != "open" or call.revision != approval.revision


async def _workflow_ids(session: Tx, rows: Sequence[OutboxRow]) -> tuple[str, ...]:
    """Return the workflows to signal: the loops that the rows are about."""
    run = rows[0].run
    if any(row.kind == "start" for row in rows):
        return ()
    if all(row.approval is not None for row in rows):
        asked = [await session.get(ApprovalRow, row.approval) for row in rows]
        steps = {(a.turn - 1) // TURNS_PER_STEP + 1 for a in asked if a is not None}
        return tuple(f"{run}/act/{step}" for step in sorted(steps))
    return await _open_workflow_ids(session, run)


async def _open_workflow_ids(session: Tx, run: str) -> tuple[str, ...]:
    query = (
        select(StepRow)
        .where(col(StepRow.run) == run)
        .order_by(col(StepRow.step).desc())
        .limit(LATEST_STEPS)
    )
    steps = list((await session.execute(query)).scalars())
    loops = [one for one in steps if one.kind == "act" and one.output is None]
    found = tuple(f"{run}/act/{one.step}" for one in loops)
    # A hold of a step may be of the run's end, for which the run itself waits, as it
    # does if it ends without any step.
    if not loops or any(one.held_by is not None for one in steps):
        found += (run,)
    return found
