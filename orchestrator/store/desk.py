"""What a person at the desk sees of an approval: the queue, one item, its customer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, literal, tuple_
from sqlalchemy import select as select_many
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel, and_, col, func, or_, select

from orchestrator.rules.contract.release import Release
from orchestrator.rules.errors import NotFound
from orchestrator.store import (
    approvals,
    counting,
    deciding,
    open_rows,
    reach,
    releases,
    runs,
    siblings,
    thread,
)
from orchestrator.store.counting import Total
from orchestrator.store.engine import Store
from orchestrator.store.queues import Place
from orchestrator.store.tables import (
    ApprovalRow,
    CallRow,
    CustomerMessageRow,
    DecisionRow,
    DraftRow,
    EffectRow,
    MessageRow,
    NoteRow,
    RunRow,
    TurnRow,
)
from orchestrator.store.thread import Draft
from orchestrator.store.types import Utc

# So many rows of a run's conversation are shown beside what it asks.
LONGEST_TALK = 200
LATEST = 10

Row = TypeVar("Row", MessageRow, CallRow)


@dataclass(frozen=True)
class Waiting:
    """One approval of the queue, with how many have said yes and who they are."""

    approval: ApprovalRow
    run: RunRow
    release: Release
    given: int
    deciders: tuple[str, ...]


@dataclass(frozen=True)
class Item:
    """One approval with all that a person needs to decide it."""

    approval: ApprovalRow
    run: RunRow
    call: CallRow
    release: Release
    decisions: list[DecisionRow]
    messages: list[MessageRow]
    calls: list[CallRow]
    customer_wrote: list[CustomerMessageRow]
    effects: list[EffectRow]
    other_runs: list[RunRow]
    draft: DraftRow | None
    notes: list[NoteRow]
    thread: list[Draft]
    successor: ApprovalRow | None
    effect: EffectRow | None
    model: str | None
    waits_for: list[CallRow]
    waiting_for_it: list[ApprovalRow]


async def queue(
    session: AsyncSession,
    conditions: Sequence[ColumnElement[bool]],
    *,
    limit: int,
    after: Place | None = None,
) -> list[Waiting]:
    """Return what waits for people and fits, what runs out first first."""
    query = _waiting(select(ApprovalRow, RunRow), conditions)
    query = query.order_by(col(ApprovalRow.answer_by), col(ApprovalRow.id)).limit(limit)
    if after is not None:
        query = query.where(after.behind())
    rows: list[tuple[ApprovalRow, RunRow]] = [
        tuple(row) for row in (await session.execute(query)).all()
    ]
    given = await approvals.decisions_of(session, [row.id for row, _ in rows])
    return [
        Waiting(
            approval=approval,
            run=run,
            release=await releases.load(session, approval.release),
            given=len(deciding.who_agreed(approval, given.get(approval.id, ()))),
            deciders=tuple(one.person for one in given.get(approval.id, ())),
        )
        for approval, run in rows
    ]


async def queue_length(
    session: AsyncSession,
    conditions: Sequence[ColumnElement[bool]],
    *,
    of_runs: bool,
) -> Total:
    """Return how many wait for people and fit; `of_runs`: a condition asks for runs.

    Those are not counted beyond what people read: each has its run looked up.
    """
    if of_runs:
        fits = _waiting(select(col(ApprovalRow.id)), conditions)
        in_order = fits.order_by(col(ApprovalRow.answer_by), col(ApprovalRow.id))
        return await counting.total(session, in_order)
    query = _waiting(select(func.count()), conditions, of_runs=False)
    return Total((await session.execute(query)).scalar_one(), is_more=False)


async def queue_groups(
    session: AsyncSession, conditions: Sequence[ColumnElement[bool]]
) -> list[tuple[str, str, int]]:
    """Return how many wait and fit of each tool and rule, by their names."""
    pair = (col(ApprovalRow.tool), col(ApprovalRow.rule))
    query = _waiting(select(*pair, func.count()), conditions)
    query = query.group_by(*pair).order_by(*pair)
    return [tuple(row) for row in (await session.execute(query)).all()]


def _waiting(
    query: Any,  # noqa: ANN401 any select
    conditions: Sequence[ColumnElement[bool]],
    *,
    of_runs: bool = True,
) -> Any:  # noqa: ANN401 as above
    query = query.select_from(ApprovalRow).where(open_rows.approvals(), *conditions)
    if not of_runs:
        return query
    return query.join(RunRow, col(RunRow.id) == col(ApprovalRow.run))


@dataclass(frozen=True)
class Names:
    """What the waiting items can be filtered by."""

    tools: list[str]
    workflows: list[str]
    teams: list[str]
    languages: list[str]


async def queue_names(session: AsyncSession, *, tenant: str | None) -> Names:
    """Return the names of what waits, each once."""
    columns = (
        col(ApprovalRow.tool),
        col(ApprovalRow.workflow),
        col(ApprovalRow.team),
        col(ApprovalRow.language),
    )
    query = select_many(*columns).where(open_rows.approvals()).distinct()
    if tenant is not None:
        query = query.where(col(ApprovalRow.tenant) == tenant)
    rows: list[tuple[str | None, ...]] = [
        tuple(row) for row in (await session.execute(query)).all()
    ]
    tools, workflows, teams, spoken = (
        sorted({str(row[n]) for row in rows if row[n]}) for n in range(len(columns))
    )
    return Names(tools, workflows, teams, spoken)


async def item(
    store: Store, approval_id: str, *, person: str, tenant: str | None
) -> Item:
    """Return one approval's item, or raise `NotFound`, also for another tenant's."""
    async with store.read() as session:
        approval = await approvals.get(session, approval_id, tenant=tenant)
        run = await runs.get(session, approval.run)
        key = (approval.run, approval.turn, approval.index)
        call = await session.get(CallRow, key)
        if call is None:
            raise NotFound(kind="approval", name=approval_id)
        drafts = await thread.of(session, approval)
        release = await releases.load(session, run.release)
        return Item(
            approval=approval,
            run=run,
            call=call,
            release=release,
            waits_for=await siblings.waits_for(session, approval, release),
            waiting_for_it=await siblings.waiting_for(session, approval, release),
            decisions=await approvals.decisions(session, approval_id),
            messages=await _rows(session, MessageRow, run.id),
            calls=await _rows(session, CallRow, run.id),
            customer_wrote=await customer_messages(session, run.id),
            effects=await earlier_effects(session, run, call, tenant=tenant),
            other_runs=await other_runs(session, run),
            draft=await _draft(session, approval_id, person),
            notes=await notes(session, run.id),
            thread=drafts,
            successor=_successor(drafts, approval),
            effect=await _effect(session, approval),
            model=await _model(session, run.id),
        )


async def earlier_effects(
    session: AsyncSession, run: RunRow, call: CallRow, *, tenant: str | None
) -> list[EffectRow]:
    """Return what was done for the call's customer or on its subject, newest first.

    In every spelling, and in every tenant for those who see all: a limit counts it.
    """
    release = await releases.load(session, run.release)
    _, live = await releases.live(session, run.workflow)
    both = [release, live]
    touched = await reach.of(session, run, call.tool, both, subject=call.subject)
    same = [and_(*touched.same_customer())]
    if touched.subject is not None:
        same.append(and_(*touched.same_subject()))
    seen = [] if tenant is None else [col(EffectRow.tenant) == tenant]
    query = (
        select(EffectRow)
        .where(or_(*same), *seen)
        .order_by(col(EffectRow.created_at).desc())
        .limit(LATEST)
    )
    return list((await session.execute(query)).scalars())


async def other_runs(session: AsyncSession, run: RunRow) -> list[RunRow]:
    """Return the customer's other open runs, newest first."""
    query = (
        select(RunRow)
        .where(
            col(RunRow.tenant) == run.tenant,
            col(RunRow.customer) == run.customer,
            col(RunRow.id) != run.id,
            open_rows.runs(),
        )
        .order_by(col(RunRow.created_at).desc())
        .limit(LATEST)
    )
    return list((await session.execute(query)).scalars())


async def customer_messages(
    session: AsyncSession, run: str
) -> list[CustomerMessageRow]:
    """Return what the customer wrote after the start, first first."""
    query = (
        select(CustomerMessageRow)
        .where(col(CustomerMessageRow.run) == run)
        .order_by(col(CustomerMessageRow.id))
    )
    return list((await session.execute(query)).scalars())


async def notes(session: AsyncSession, run: str) -> list[NoteRow]:
    """Return people's notes on a run, first first."""
    query = select(NoteRow).where(col(NoteRow.run) == run).order_by(col(NoteRow.id))
    return list((await session.execute(query)).scalars())


@dataclass(frozen=True)
class Decided:
    """One of a person's decisions and what came of it."""

    decision: DecisionRow
    approval: ApprovalRow
    call: CallRow
    release: Release
    effect: EffectRow | None


async def decided_total(session: AsyncSession, person: str) -> Total:
    """Return how many decisions a person has given."""
    query = select(DecisionRow.id).where(col(DecisionRow.person) == person)
    return await counting.total(session, query.order_by(col(DecisionRow.id).desc()))


async def decided_by(
    session: AsyncSession, person: str, *, limit: int, before: int | None = None
) -> list[Decided]:
    """Return a person's decisions, newest first; `before` is a decision's id."""
    query = (
        select(DecisionRow, ApprovalRow, CallRow)
        .join(ApprovalRow, col(ApprovalRow.id) == col(DecisionRow.approval))
        .join(
            CallRow,
            and_(
                col(CallRow.run) == col(ApprovalRow.run),
                col(CallRow.turn) == col(ApprovalRow.turn),
                col(CallRow.index) == col(ApprovalRow.index),
            ),
        )
        .where(col(DecisionRow.person) == person)
        .order_by(col(DecisionRow.id).desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(col(DecisionRow.id) < before)
    rows = (await session.execute(query)).all()
    keys = [approval.id for _, approval, _ in rows]
    found = select(EffectRow).where(col(EffectRow.approval).in_(keys))
    effects = {one.approval: one for one in (await session.execute(found)).scalars()}
    return [
        Decided(
            decision,
            approval,
            call,
            await releases.load(session, approval.release),
            effects.get(approval.id),
        )
        for decision, approval, call in rows
    ]


async def _rows(session: AsyncSession, table: type[Row], run: str) -> list[Row]:
    """Return a run's latest rows, in their order."""
    query = (
        select(table)
        .where(col(table.run) == run)
        .order_by(col(table.turn).desc(), col(table.index).desc())
        .limit(LONGEST_TALK)
    )
    return list((await session.execute(query)).scalars())[::-1]


def _successor(drafts: list[Draft], approval: ApprovalRow) -> ApprovalRow | None:
    """Return the latest draft of the thread, where it is a later one."""
    latest = drafts[-1].approval
    return None if latest.id == approval.id else latest


async def _draft(session: AsyncSession, approval: str, person: str) -> DraftRow | None:
    """Return a person's unfinished edit; one that was decided is none."""
    found = await session.get(DraftRow, (approval, person))
    return found if found is not None and found.used_at is None else None


async def _effect(session: AsyncSession, approval: ApprovalRow) -> EffectRow | None:
    query = select(EffectRow).where(col(EffectRow.approval) == approval.id).limit(1)
    return (await session.execute(query)).scalar_one_or_none()


async def _model(session: AsyncSession, run: str) -> str | None:
    """Return the model that answered last."""
    query = (
        select(TurnRow.model)
        .where(col(TurnRow.run) == run)
        .order_by(col(TurnRow.turn).desc())
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def counts(session: AsyncSession, *, tenant: str | None) -> tuple[int, int, int]:
    """Return how many approvals wait, hand-offs are open and effects are to find out."""
    waiting = _count(ApprovalRow, open_rows.approvals())
    handed = _count(RunRow, open_rows.handoffs())
    unknown = _count(EffectRow, open_rows.to_find_out())
    if tenant is not None:
        waiting = waiting.where(col(ApprovalRow.tenant) == tenant)
        handed = handed.where(col(RunRow.tenant) == tenant)
        unknown = unknown.where(col(EffectRow.tenant) == tenant)
    found = [
        (await session.execute(one)).scalar_one() for one in (waiting, handed, unknown)
    ]
    return found[0], found[1], found[2]


def _count(table: type[SQLModel], condition: Any) -> Any:  # noqa: ANN401 SQL
    return select(func.count()).select_from(table).where(condition)


async def handoffs(
    session: AsyncSession,
    *,
    tenant: str | None,
    limit: int,
    after: str | None = None,
) -> list[tuple[RunRow, list[NoteRow]]]:
    """Return runs handed to people and not yet settled, oldest first, with notes.

    `after` is the last run of the page before; it may be settled by now.
    """
    query = (
        select(RunRow)
        .where(open_rows.handoffs())
        .order_by(col(RunRow.ended_at), col(RunRow.id))
        .limit(limit)
    )
    if tenant is not None:
        query = query.where(col(RunRow.tenant) == tenant)
    last = await session.get(RunRow, after) if after is not None else None
    if last is not None:
        place = tuple_(literal(last.ended_at, Utc), literal(last.id))
        query = query.where(tuple_(col(RunRow.ended_at), col(RunRow.id)) > place)
    found = list((await session.execute(query)).scalars())
    said = (
        select(NoteRow)
        .where(col(NoteRow.run).in_([run.id for run in found]))
        .order_by(col(NoteRow.id))
    )
    by_run: dict[str, list[NoteRow]] = {}
    for note in (await session.execute(said)).scalars():
        by_run.setdefault(note.run, []).append(note)
    return [(run, by_run.get(run.id, [])) for run in found]
