"""What a person at the desk sees of an approval: the queue, one item, its customer."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import and_, case, col, func, or_, select

from orchestrator.clock import system_clock
from orchestrator.errors import NotFound
from orchestrator.release import Release
from orchestrator.status import ENDED_RUNS
from orchestrator.store import (
    approvals,
    deciding,
    queues,
    reach,
    releases,
    runs,
    siblings,
    thread,
)
from orchestrator.store.engine import Store
from orchestrator.store.queues import Filter
from orchestrator.store.reopening import REOPENED
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

LONGEST_QUEUE = 200
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


async def queue(
    session: AsyncSession,
    *,
    tenant: str | None,
    wanted: Filter | None = None,
    now: datetime | None = None,
) -> list[Waiting]:
    """Return what waits for people, what runs out first first.

    `now` is the store's time, which a filter by claim needs.
    """
    asked = {"status": "pending", "tenant": tenant}
    wanted = (wanted or Filter()).model_copy(update=asked)
    query = (
        select(ApprovalRow, RunRow)
        .join(RunRow, col(RunRow.id) == col(ApprovalRow.run))
        .where(*queues.conditions(wanted, now=now or system_clock()))
        .order_by(col(ApprovalRow.answer_by), col(ApprovalRow.id))
        .limit(LONGEST_QUEUE)
    )
    rows = (await session.execute(query)).all()
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
    touched = await reach.of(session, run, call.tool, [release], subject=call.subject)
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
            col(RunRow.status).not_in(ENDED_RUNS),
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


async def decided_by(
    session: AsyncSession, person: str, *, limit: int = 100
) -> list[Decided]:
    """Return a person's decisions, newest first."""
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
        .limit(LONGEST_QUEUE)
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
    waiting = (
        select(func.count())
        .select_from(ApprovalRow)
        .where(col(ApprovalRow.status) == "pending")
    )
    handed = (
        select(func.count())
        .select_from(RunRow)
        .where(col(RunRow.status) == "handed_off", col(RunRow.id).not_in(_settled()))
    )
    unknown = (
        select(func.count())
        .select_from(EffectRow)
        .where(
            or_(
                col(EffectRow.status) == "unknown",
                col(EffectRow.reopened_at).is_not(None),
            )
        )
    )
    if tenant is not None:
        waiting = waiting.where(col(ApprovalRow.tenant) == tenant)
        handed = handed.where(col(RunRow.tenant) == tenant)
        unknown = unknown.where(col(EffectRow.tenant) == tenant)
    found = [
        (await session.execute(one)).scalar_one() for one in (waiting, handed, unknown)
    ]
    return found[0], found[1], found[2]


def _settled() -> Any:  # noqa: ANN401 a select of run ids
    # A run that came back since is not settled any more.
    latest = func.max(case((col(NoteRow.kind) == "done_outside", NoteRow.id), else_=0))
    back = func.max(case((col(NoteRow.kind) == REOPENED, NoteRow.id), else_=0))
    return select(NoteRow.run).group_by(col(NoteRow.run)).having(latest > back)


async def handoffs(
    session: AsyncSession, *, tenant: str | None
) -> list[tuple[RunRow, list[NoteRow]]]:
    """Return runs handed to people and not yet settled, oldest first, with notes."""
    query = (
        select(RunRow)
        .where(col(RunRow.status) == "handed_off", col(RunRow.id).not_in(_settled()))
        .order_by(col(RunRow.ended_at))
        .limit(LONGEST_QUEUE)
    )
    if tenant is not None:
        query = query.where(col(RunRow.tenant) == tenant)
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
