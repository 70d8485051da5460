"""Fingerprints of what a page shows: a change in one is a reason to look again.

No cursor over ids: rows commit out of order, and an id seen is not a row seen.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select as select_many
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, select

from orchestrator.store import open_rows
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

# Every tenant's together, for who sees them all.
ALL = ""


async def queue(store: Store) -> Mapping[str, str]:
    """Return the fingerprint of what waits for people, of each tenant and of `ALL`.

    The sum of the stamps differs after any change; one index alone is read for it.
    """
    query = (
        select_many(
            col(ApprovalRow.tenant), func.count(), func.sum(col(ApprovalRow.stamp))
        )
        .where(open_rows.approvals())
        .group_by(col(ApprovalRow.tenant))
        .order_by(col(ApprovalRow.tenant))
    )
    return await _by_tenant(store, query)


async def handoffs(store: Store) -> Mapping[str, str]:
    """Return the fingerprint of what was handed to people, as `queue` does."""
    # One of each run's own: joined, the notes of all that ever was would be read.
    latest = (
        select(func.max(col(NoteRow.id)))
        .where(col(NoteRow.run) == col(RunRow.id))
        .correlate(RunRow)
        .scalar_subquery()
    )
    query = (
        select_many(
            col(RunRow.tenant), func.count(), func.sum(func.coalesce(latest, 0))
        )
        .where(open_rows.handoffs())
        .group_by(col(RunRow.tenant))
        .order_by(col(RunRow.tenant))
    )
    return await _by_tenant(store, query)


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
            col(ApprovalRow.stamp),
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


async def _by_tenant(store: Store, query: Any) -> Mapping[str, str]:  # noqa: ANN401 any select whose first column is a tenant
    async with store.read() as session:
        rows = await _all(session, query)
    return {ALL: _digest(rows)} | {row[0]: _digest(row[1:]) for row in rows}


async def _all(session: AsyncSession, query: Any) -> list[Any]:  # noqa: ANN401 any select
    return [tuple(row) for row in (await session.execute(query)).all()]


def _digest(rows: object) -> str:
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]
