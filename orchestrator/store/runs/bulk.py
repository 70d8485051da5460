"""All matching runs are paused, resumed or cancelled: one fact, applied in batches.

Setting it is one short transaction, under one barrier, however many runs there are. A
pause or cancel holds from then on (`runs.bulk_scope`); batches write it into the runs' own
rows beside other work. A resume signals its runs at the pace at which signals are
delivered.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import insert
from sqlmodel import col, func, select

from keyturn.orchestrator.rules import ids
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.status import BulkVerb
from keyturn.orchestrator.store import holds
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db import locks, open_rows
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.runs import bulk_scope
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.runs.errors import BulkEnded
from keyturn.orchestrator.store.runs.listing import Filter
from keyturn.orchestrator.store.tables import BulkRow, OutboxRow, RunRow

State = Literal["running", "done", "stopped"]
# A batch's transaction stays below the time that a transaction may take.
BATCH: Mapping[BulkVerb, int] = {"pause": 1_000, "resume": 200, "cancel": 200}
# Signals wait while this many are undelivered: a decision's own is not kept behind
# thousands.
MOST_UNDELIVERED = 400
# A signal sent this often has no receiver: it must not delay the others.
UNDELIVERED_TRIES = 3
SYSTEM = "system"
_FIRST = (
    select(BulkRow.id)
    .where(col(BulkRow.ended_at).is_(None))
    .order_by(col(BulkRow.id))
    .limit(1)
)


class NewBulk(BaseModel):
    """What to do with which runs; `by_tenant` is the requester's tenant."""

    model_config = ConfigDict(frozen=True)

    verb: BulkVerb
    filter: Filter
    reason: str
    by: str
    by_tenant: str | None = None


async def begin(store: Store, new: NewBulk) -> BulkRow:
    """Set it: a pause or cancel now holds for each open run that matches.

    Runs that begin later are not held: to hold those, too, is a switch's task.
    """
    async with store.read() as session:
        total = await _count(session, new)
    async with store.write() as session:
        await session.raise_barrier()
        now = await session.read_clock()
        await _replace(session, new)
        row = BulkRow(
            id=ids.new_id("bulk", now=now.timestamp()),
            total=total,
            created_at=now,
            **new.model_dump(exclude={"filter"}),
            **new.filter.model_dump(),
        )
        session.add(row)
        entry = _entry(row, f"bulk.{row.verb}", new.by, new.filter.model_dump())
        log.record(session, entry, at=now)
        return row


async def stop(store: Store, bulk: str, *, by: str, tenant: str | None) -> BulkRow:
    """Stop it: it reaches no more runs, and those that it reached stay as they are.

    Raises `NotFound`, also for another tenant's, or `BulkEnded`.
    """
    async with store.write() as session:
        await get(session, bulk, tenant=tenant)
        row = await session.get(
            BulkRow, bulk, with_for_update=True, populate_existing=True
        )
        if row is None or row.ended_at is not None:
            raise BulkEnded(f"{bulk} has ended already; nothing was changed.")
        now = await session.read_clock()
        row.ended_at, row.stopped_by = now, by
        log.record(session, _entry(row, "bulk.stopped", by, {}), at=now)
        return row


async def get(session: Tx, bulk: str, *, tenant: str | None) -> BulkRow:
    """Return the bulk action, or raise `NotFound`, also for another tenant's."""
    row = await session.get(BulkRow, bulk)
    if row is None or tenant not in (None, row.by_tenant):
        raise NotFound(kind="bulk", name=bulk)
    return row


async def listing(
    session: Tx, *, tenant: str | None, limit: int, before: str | None = None
) -> list[BulkRow]:
    """Return bulk actions, newest first; `before` is the last id of the page before."""
    query = select(BulkRow).order_by(col(BulkRow.id).desc()).limit(limit)
    if tenant is not None:
        query = query.where(col(BulkRow.by_tenant) == tenant)
    if before is not None:
        query = query.where(col(BulkRow.id) < before)
    return list((await session.execute(query)).scalars())


async def at_hand(session: Tx, *, tenant: str | None, ended: int) -> list[BulkRow]:
    """Return all running ones and then the latest of those that ended, newest first."""
    query = select(BulkRow).order_by(col(BulkRow.id).desc())
    if tenant is not None:
        query = query.where(col(BulkRow.by_tenant) == tenant)
    goes_on = await session.execute(query.where(col(BulkRow.ended_at).is_(None)))
    over = await session.execute(
        query.where(col(BulkRow.ended_at).is_not(None)).limit(ended)
    )
    return [*goes_on.scalars(), *over.scalars()]


def state(row: BulkRow) -> State:
    """Tell whether it is running, has reached all runs, or was stopped."""
    if row.ended_at is None:
        return "running"
    return "done" if row.stopped_by is None else "stopped"


async def work(
    store: Store,
    *,
    sizes: Mapping[BulkVerb, int] = BATCH,
    most_undelivered: int = MOST_UNDELIVERED,
) -> bool:
    """Do a batch of the oldest bulk action; tell whether there is more to do now.

    Any process may do it; one at a time does. A batch interrupted by a crash is done
    again.
    """
    async with store.read() as session:
        first = (await session.execute(_FIRST)).scalar_one_or_none()
    if first is None:
        return False
    async with store.write() as session:
        # By its name: a process that skipped the first because it is locked would do
        # the second before it, and the latest request would not hold.
        locked = (
            select(BulkRow)
            .where(col(BulkRow.id) == first, col(BulkRow.ended_at).is_(None))
            .with_for_update(skip_locked=True)
        )
        row = (await session.execute(locked)).scalar_one_or_none()
        if row is None:
            return False
        verb = row.verb
        if verb != "pause" and await _undelivered(session) >= most_undelivered:
            return False
        await session.read_clock()
        return await _batch(session, row, size=sizes[verb])


async def _batch(session: Tx, bulk: BulkRow, *, size: int) -> bool:
    verb = bulk.verb
    query = _candidates(verb, _filter(bulk)).where(
        col(RunRow.id) > bulk.after,
        col(RunRow.created_at) <= bulk.created_at,
        col(RunRow.id).not_in(bulk.but),
    )
    query = query.order_by(col(RunRow.id)).limit(size)
    rows = await locks.runs(session, query)
    if rows:
        acted_on = await _ACTS[verb](session, bulk, rows)
        _record(session, bulk, acted_on)
        bulk.after, bulk.done = rows[-1].id, bulk.done + len(rows)
    if len(rows) < size:
        bulk.ended_at = session.now
        log.record(session, _entry(bulk, "bulk.done", SYSTEM, {}), at=session.now)
    return True


async def _pause(
    session: Tx, bulk: BulkRow, rows: Sequence[RunRow]
) -> Sequence[RunRow]:
    del session
    for row in rows:
        run_lookup.mark_paused(row, by=bulk.by, reason=bulk.reason, at=bulk.created_at)
    return rows


async def _resume(
    session: Tx, bulk: BulkRow, rows: Sequence[RunRow]
) -> Sequence[RunRow]:
    del bulk
    await holds.free_paused(session, rows)
    for row in rows:
        row.paused_by = row.pause_reason = None
        await holds.go_on(session, row, status="queued")
    await _signal(session, rows)
    return rows


async def _cancel(
    session: Tx, bulk: BulkRow, rows: Sequence[RunRow]
) -> Sequence[RunRow]:
    # Runs that somebody looked at since are cancelled already, and recorded as such.
    left = [row for row in rows if row.cancel_reason is None]
    for row in left:
        await run_lookup.mark_cancelled(
            session, row, reason=bulk.reason, at=session.now
        )
    return left


_Act = Callable[
    [Tx, BulkRow, Sequence[RunRow]],
    Coroutine[Any, Any, Sequence[RunRow]],
]
_ACTS: Mapping[BulkVerb, _Act] = {"pause": _pause, "resume": _resume, "cancel": _cancel}
_PAST: Mapping[str, str] = {
    "pause": "run.paused",
    "resume": "run.resumed",
    "cancel": "run.cancelled",
}


async def _signal(session: Tx, rows: Sequence[RunRow]) -> None:
    signals = [
        {
            "kind": "resume",
            "run": row.id,
            "created_at": session.now,
            "due_at": session.now,
            "tries": 0,
        }
        for row in rows
    ]
    await session.execute(insert(OutboxRow), signals)


async def _undelivered(session: Tx) -> int:
    """Return how many signals of ours are on their way and can be received."""
    few = (
        select(OutboxRow.id)
        .where(
            open_rows.deliveries(),
            col(OutboxRow.kind).in_(("resume", "cancel")),
            col(OutboxRow.tries) < UNDELIVERED_TRIES,
        )
        .limit(MOST_UNDELIVERED)
    )
    return (
        await session.execute(select(func.count()).select_from(few.subquery()))
    ).scalar_one()


async def _count(session: Tx, new: NewBulk) -> int:
    found = _candidates(new.verb, new.filter).with_only_columns(func.count())
    return (await session.execute(found)).scalar_one()


def _candidates(verb: BulkVerb, wanted: Filter) -> Any:  # noqa: ANN401 a select of runs
    query = select(RunRow)
    match verb:
        case "pause":
            query = query.where(open_rows.runs(), col(RunRow.paused_by).is_(None))
        case "resume":
            query = query.where(open_rows.paused_runs())
        case "cancel":
            query = query.where(open_rows.runs())
    for name, value in wanted.model_dump(exclude_none=True).items():
        query = query.where(getattr(RunRow, name) == value)
    return query


async def _replace(session: Tx, new: NewBulk) -> None:
    """End what is in progress for the same runs: the latest request holds."""
    same = select(BulkRow).where(
        col(BulkRow.ended_at).is_(None), col(BulkRow.verb) != "cancel"
    )
    for name in bulk_scope.FIELDS:
        # `IS NULL` for a filter that is not set, so that the filters are alike.
        same = same.where(getattr(BulkRow, name) == getattr(new.filter, name))
    for row in (await session.execute(same.with_for_update())).scalars():
        row.ended_at, row.stopped_by = session.now, new.by
        log.record(session, _entry(row, "bulk.stopped", new.by, {}), at=session.now)


def _filter(row: BulkRow) -> Filter:
    return Filter.model_validate(
        {name: getattr(row, name) for name in bulk_scope.FIELDS}
    )


def _record(session: Tx, bulk: BulkRow, rows: Sequence[RunRow]) -> None:
    for row in rows:
        log.record(
            session,
            log.Entry(
                actor=bulk.by,
                kind=_PAST[bulk.verb],
                tenant=row.tenant,
                run=row.id,
                subject=bulk.id,
                payload={"reason": bulk.reason},
            ),
            at=session.now,
        )


def _entry(row: BulkRow, kind: str, actor: str, payload: dict[str, Any]) -> log.Entry:
    return log.Entry(
        actor=actor,
        kind=kind,
        tenant=row.by_tenant,
        subject=row.id,
        payload={"reason": row.reason, "of": row.total, **payload},
    )
