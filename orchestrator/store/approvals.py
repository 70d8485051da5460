"""Approvals in the record: decided, read, locked (P8, P9)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from orchestrator.rules.authority.binding import (
    Binding,
    DecisionKind,
    Grounds,
    Signer,
    Statement,
)
from orchestrator.rules.errors import NotFound
from orchestrator.rules.text import canonical
from orchestrator.store import asking, deciding, edits, queues, releases, runs, siblings
from orchestrator.store.deciding import (
    AlreadyDecided,
    Answer,
    Claimed,
    DraftOpen,
    EditRefused,
    MayNotDecide,
    NoMoreRounds,
    Person,
    StaleBinding,
    why_not,
)
from orchestrator.store.engine import Store
from orchestrator.store.queues import Filter
from orchestrator.store.siblings import WaitsForOthers
from orchestrator.store.tables import (
    ApprovalRow,
    CallRow,
    DecisionRow,
    DraftRow,
    RunRow,
)
from orchestrator.store.vouching import ForgedRow

# What callers of `decide` give, catch and ask about.
__all__ = [
    "AlreadyDecided",
    "Answer",
    "Claimed",
    "DraftOpen",
    "EditRefused",
    "Filter",
    "MayNotDecide",
    "NoMoreRounds",
    "Person",
    "StaleBinding",
    "WaitsForOthers",
    "decide",
    "decisions",
    "decisions_of",
    "get",
    "listing",
    "lock",
    "statement",
    "why_not",
]


async def decide(  # noqa: PLR0913 one option besides what a decision is
    store: Store,
    signer: Signer,
    person: Person,
    approval: str,
    answer: Answer,
    *,
    may_undo: bool = True,
    heeds_draft: bool = False,
) -> ApprovalRow:
    """Commit a decision and what follows from it; return the approval as it is then.

    Without `may_undo` it takes effect at once, whatever window the tool declares. A page
    `heeds_draft`: there, a person's own unfinished edit keeps them from approving what
    was not edited.

    Raises `NotFound`, `MayNotDecide`, `AlreadyDecided`, `Claimed`, `StaleBinding`,
    `DraftOpen`, `WaitsForOthers`, `NoMoreRounds`, `InvalidValue` (an edit that misfits the tool's schema) or
    `EditRefused`; then nothing is changed.
    """
    async with store.write() as session:
        row, run, call = await lock(session, approval, tenant=person.tenant)
        now = await store.now(session)
        if may_undo:
            row.undo_until = now + await _undo_window(session, run, row.tool)
        given = await decisions(session, row.id)
        await _check_siblings(session, row, run, answer)
        deciding.check(row, run, person, answer, given, now=now)
        if answer.decision == "approve":
            await _check_shown(session, row, run, call)
        if heeds_draft:
            await _check_draft(session, row, person, answer)
        if answer.arguments is not None and answer.decision == "approve":
            return await edits.Edit(session, store, signer, person).commit(
                row, run, call, answer, now=now
            )
        deciding.sign(
            session, signer, person, run, row, answer, effective=row.binding, at=now
        )
        people = [person.id, *(one.person for one in given)]
        await deciding.conclude(session, row, run, answer, people, now=now)
        return row


async def _check_shown(
    session: AsyncSession, row: ApprovalRow, run: RunRow, call: CallRow
) -> None:
    """Raise `ForgedRow` where what is shown is not what is bound, or not the call's.

    A worker drafts all of it: one that was broken into would show one thing, and have
    another signed.
    """
    release = await releases.load(session, run.release)
    bound = Binding(
        run=row.run,
        call=asking.effect_key(call),
        tool=row.tool,
        arguments=canonical.parse(row.arguments),
        contract=row.release,
        policy=release.policy_hash(),
        preview=canonical.parse(row.preview or "null"),
    )
    # A subject that the live release alone names is known to the call later.
    of_row = (row.tool, row.arguments, row.revision, row.subject or call.subject)
    of_call = (call.tool, asking.effective(call), call.revision, call.subject)
    whose = (row.tenant, row.workflow, row.customer, row.release)
    of_run = (run.tenant, run.workflow, run.customer, run.release)
    if row.binding != bound.digest() or of_row != of_call or whose != of_run:
        raise ForgedRow(row)


async def get(
    session: AsyncSession, approval: str, *, tenant: str | None = None
) -> ApprovalRow:
    """Return the approval, or raise `NotFound`, also for another tenant's."""
    row = await session.get(ApprovalRow, approval)
    if row is None or tenant not in (None, row.tenant):
        raise NotFound(kind="approval", name=approval)
    return row


async def listing(
    session: AsyncSession,
    wanted: Filter,
    *,
    now: datetime,
    limit: int = 50,
    after: str | None = None,
) -> list[ApprovalRow]:
    """Return approvals, oldest first: who has waited longest comes first."""
    query = select(ApprovalRow).where(*queues.conditions(wanted, now=now))
    query = query.order_by(col(ApprovalRow.id)).limit(limit)
    if after is not None:
        query = query.where(col(ApprovalRow.id) > after)
    return list((await session.execute(query)).scalars())


async def decisions(session: AsyncSession, approval: str) -> list[DecisionRow]:
    """Return an approval's decisions, first first."""
    query = (
        select(DecisionRow)
        .where(col(DecisionRow.approval) == approval)
        .order_by(col(DecisionRow.id))
    )
    return list((await session.execute(query)).scalars())


async def decisions_of(
    session: AsyncSession, ids: Sequence[str]
) -> dict[str, list[DecisionRow]]:
    """Return the decisions of many approvals, by approval, first first."""
    query = (
        select(DecisionRow)
        .where(col(DecisionRow.approval).in_(ids))
        .order_by(col(DecisionRow.id))
    )
    found: dict[str, list[DecisionRow]] = {}
    for row in (await session.execute(query)).scalars():
        found.setdefault(row.approval, []).append(row)
    return found


def statement(row: DecisionRow) -> Statement:
    """Return what a decision's signature must cover."""
    return Statement(
        approval=row.approval,
        binding=row.binding,
        effective=row.effective,
        person=row.person,
        session=row.session,
        decision=cast("DecisionKind", row.decision),
        at=row.at,
        grounds=Grounds.model_validate_json(row.grounds) if row.grounds else None,
    )


async def lock(
    session: AsyncSession, approval: str, *, tenant: str | None
) -> tuple[ApprovalRow, RunRow, CallRow]:
    """Return an approval with its run and call, locked in that order of run first.

    Raises `NotFound`, also for another tenant's.
    """
    found = await get(session, approval, tenant=tenant)
    run = await runs.get(session, found.run, lock=True)
    await session.refresh(found, with_for_update=True)
    key = (found.run, found.turn, found.index)
    call = await session.get(CallRow, key, with_for_update=True)
    if call is None:
        raise NotFound(kind="call", name=f"{found.run}:{found.turn}.{found.index}")
    return found, run, call


async def _check_draft(
    session: AsyncSession, row: ApprovalRow, person: Person, answer: Answer
) -> None:
    if answer.decision != "approve" or answer.arguments is not None:
        return
    draft = await session.get(DraftRow, (row.id, person.id))
    if draft is not None and draft.used_at is None:
        raise DraftOpen(row, saved_at=draft.saved_at)


async def _check_siblings(
    session: AsyncSession, row: ApprovalRow, run: RunRow, answer: Answer
) -> None:
    """Raise `WaitsForOthers` for a yes to what speaks of actions not yet done."""
    if row.status == "waiting" and answer.decision == "approve":
        release = await releases.load(session, run.release)
        others = await siblings.waits_for(session, row, release)
        raise WaitsForOthers(row, others)


async def _undo_window(session: AsyncSession, run: RunRow, tool: str) -> timedelta:
    release = await releases.load(session, run.release)
    return release.tool(tool).undo
