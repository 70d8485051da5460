"""One approval as people see it: its customer, its history, its effect."""

from dataclasses import dataclass
from typing import TypeVar

from sqlmodel import and_, col, or_, select

from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.store.approvals import history, siblings
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.approvals.history import Draft
from keyturn.orchestrator.store.db import open_rows
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.ledger import reach
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.tables import (
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

# How many rows of a run's conversation are shown beside the request.
LONGEST_TALK = 200
LATEST = 10

Row = TypeVar("Row", MessageRow, CallRow)


@dataclass(frozen=True)
class Item:
    """One approval with everything a person needs to decide it."""

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


async def item(
    store: Store, approval_id: str, *, person: str, tenant: str | None
) -> Item:
    """Return one approval's item, or raise `NotFound`, also for another tenant's."""
    async with store.read() as session:
        approval = await approval_lookup.get(session, approval_id, tenant=tenant)
        run = await run_lookup.get(session, approval.run)
        key = (approval.run, approval.turn, approval.index)
        call = await session.get(CallRow, key)
        if call is None:
            raise NotFound(kind="approval", name=approval_id)
        drafts = await history.of(session, approval)
        release = await releases.load(session, run.release)
        return Item(
            approval=approval,
            run=run,
            call=call,
            release=release,
            waits_for=await siblings.waits_for(session, approval, release),
            waiting_for_it=await siblings.waiting_for(session, approval, release),
            decisions=await approval_lookup.decisions(session, approval_id),
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
    session: Tx, run: RunRow, call: CallRow, *, tenant: str | None
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


async def other_runs(session: Tx, run: RunRow) -> list[RunRow]:
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


async def customer_messages(session: Tx, run: str) -> list[CustomerMessageRow]:
    """Return what the customer wrote after the start, oldest first."""
    query = (
        select(CustomerMessageRow)
        .where(col(CustomerMessageRow.run) == run)
        .order_by(col(CustomerMessageRow.id))
    )
    return list((await session.execute(query)).scalars())


async def notes(session: Tx, run: str) -> list[NoteRow]:
    """Return people's notes on a run, oldest first."""
    query = select(NoteRow).where(col(NoteRow.run) == run).order_by(col(NoteRow.id))
    return list((await session.execute(query)).scalars())


async def _rows(session: Tx, table: type[Row], run: str) -> list[Row]:
    """Return a run's latest rows, in their order."""
    query = (
        select(table)
        .where(col(table.run) == run)
        .order_by(col(table.turn).desc(), col(table.index).desc())
        .limit(LONGEST_TALK)
    )
    return list((await session.execute(query)).scalars())[::-1]


def _successor(drafts: list[Draft], approval: ApprovalRow) -> ApprovalRow | None:
    """Return the latest draft of the thread, if it is a later one."""
    latest = drafts[-1].approval
    return None if latest.id == approval.id else latest


async def _draft(session: Tx, approval: str, person: str) -> DraftRow | None:
    """Return a person's unfinished edit; a decided edit does not count."""
    found = await session.get(DraftRow, (approval, person))
    return found if found is not None and found.used_at is None else None


async def _effect(session: Tx, approval: ApprovalRow) -> EffectRow | None:
    query = select(EffectRow).where(col(EffectRow.approval) == approval.id).limit(1)
    return (await session.execute(query)).scalar_one_or_none()


async def _model(session: Tx, run: str) -> str | None:
    """Return the model that answered last."""
    query = (
        select(TurnRow.model)
        .where(col(TurnRow.run) == run)
        .order_by(col(TurnRow.turn).desc())
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()
