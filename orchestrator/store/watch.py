"""Fingerprints of what a page shows: a change in one is a reason to look again.

No cursor over ids: rows commit out of order, and an id seen is not a row seen.
"""

import hashlib
from typing import Any

from sqlalchemy import select as select_many
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, select

from orchestrator.store.engine import Store
from orchestrator.store.tables import (
    ApprovalRow,
    AuditRow,
    CallRow,
    DecisionRow,
    EffectRow,
    NoteRow,
    RunRow,
)


async def queue(store: Store, *, tenant: str | None) -> str:
    """Return the fingerprint of what waits for people."""
    query = (
        # SQLModel's own takes four columns.
        select_many(
            col(ApprovalRow.id),
            col(ApprovalRow.binding),
            col(ApprovalRow.answer_by),
            col(ApprovalRow.claimed_by),
            col(ApprovalRow.assigned_to),
            func.count(col(DecisionRow.id)),
        )
        .outerjoin(DecisionRow, col(DecisionRow.approval) == col(ApprovalRow.id))
        .where(col(ApprovalRow.status) == "pending")
        .group_by(
            col(ApprovalRow.id),
            col(ApprovalRow.binding),
            col(ApprovalRow.answer_by),
            col(ApprovalRow.claimed_by),
            col(ApprovalRow.assigned_to),
        )
        .order_by(col(ApprovalRow.id))
    )
    if tenant is not None:
        query = query.where(col(ApprovalRow.tenant) == tenant)
    async with store.read() as session:
        return _digest((await session.execute(query)).all())


async def run(store: Store, run_id: str) -> str:
    """Return the fingerprint of a run's record."""
    async with store.read() as session:
        state = select_many(
            col(RunRow.status),
            col(RunRow.stopped_by),
            col(RunRow.turns),
            col(RunRow.cost_microusd),
            col(RunRow.failing),
        ).where(col(RunRow.id) == run_id)
        ended = (
            select(func.count())
            .select_from(CallRow)
            .where(col(CallRow.run) == run_id, col(CallRow.status) != "open")
        )
        noted = (
            select(func.count())
            .select_from(AuditRow)
            .where(col(AuditRow.run) == run_id)
        )
        held = select(CallRow.turn, CallRow.index, CallRow.held_by).where(
            col(CallRow.run) == run_id, col(CallRow.held_by).is_not(None)
        )
        effects = select(EffectRow.key, EffectRow.status).where(
            col(EffectRow.run) == run_id
        )
        queries = (state, ended, noted, held, effects)
        return _digest([await _all(session, query) for query in queries])


async def approval(store: Store, approval_id: str) -> str:
    """Return the fingerprint of one item: its state, decisions and run."""
    async with store.read() as session:
        state = select_many(
            col(ApprovalRow.status),
            col(ApprovalRow.binding),
            col(ApprovalRow.answer_by),
            col(ApprovalRow.consumed_by),
            col(ApprovalRow.claimed_by),
            col(ApprovalRow.assigned_to),
        ).where(col(ApprovalRow.id) == approval_id)
        given = select(DecisionRow.id).where(col(DecisionRow.approval) == approval_id)
        stopped = (
            select(RunRow.status, RunRow.stopped_by)
            .join(ApprovalRow, col(ApprovalRow.run) == col(RunRow.id))
            .where(col(ApprovalRow.id) == approval_id)
        )
        return _digest(
            [await _all(session, query) for query in (state, given, stopped)]
        )


async def handoffs(store: Store, *, tenant: str | None) -> str:
    """Return the fingerprint of what was handed to people."""
    runs = (
        select(func.count())
        .select_from(RunRow)
        .where(col(RunRow.status) == "handed_off")
    )
    notes = (
        select(func.count())
        .select_from(NoteRow)
        .join(RunRow, col(RunRow.id) == col(NoteRow.run))
        .where(col(RunRow.status) == "handed_off")
    )
    if tenant is not None:
        runs = runs.where(col(RunRow.tenant) == tenant)
        notes = notes.where(col(RunRow.tenant) == tenant)
    async with store.read() as session:
        return _digest([await _all(session, query) for query in (runs, notes)])


async def _all(session: AsyncSession, query: Any) -> list[Any]:  # noqa: ANN401 any select
    return [tuple(row) for row in (await session.execute(query)).all()]


def _digest(rows: object) -> str:
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]
