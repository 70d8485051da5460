"""Fingerprints of what a page shows: if one changes, the page should be read again.

There is no cursor over ids: rows commit out of order, and an id seen is not a row seen.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select
from sqlalchemy import select as select_many
from sqlmodel import col, func, select

from keyturn.orchestrator.store.db import open_rows
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    AuditRow,
    CallRow,
    DecisionRow,
    EffectRow,
    NoteRow,
    RunRow,
)

# For people who see all tenants together; no tenant has this name.
ALL = "*"

# Any query whose first column names what its row belongs to.
_Query = Select[*tuple[Any, ...]]


async def queue(store: Store, tenants: Sequence[str]) -> Mapping[str, str]:
    """Return the fingerprint of what waits for people, of tenants and of `ALL`.

    The sum of the stamps differs after any change; only one index is read for it. It is
    empty if nothing waits.
    """
    query = (
        select_many(
            col(ApprovalRow.tenant), func.count(), func.sum(col(ApprovalRow.stamp))
        )
        .where(open_rows.approvals())
        .group_by(col(ApprovalRow.tenant))
        .order_by(col(ApprovalRow.tenant))
    )
    return await _by_tenant(store, query, tenants)


async def handoffs(store: Store, tenants: Sequence[str]) -> Mapping[str, str]:
    """Return the fingerprint of hand-offs, in the same way as `queue`."""
    # One subquery per run: a join would read the notes of all runs that ever existed.
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
    return await _by_tenant(store, query, tenants)


async def run(store: Store, run_id: str) -> str:
    """Return the fingerprint of a run's record."""
    return (await runs(store, [run_id]))[run_id]


async def runs(store: Store, ids: Sequence[str]) -> Mapping[str, str]:
    """Return the fingerprints of runs' records, in as many queries as for one."""
    async with store.read() as session:
        return await runs_in(session, ids)


async def runs_in(session: Tx, ids: Sequence[str]) -> Mapping[str, str]:
    """Return the fingerprints of runs' records, as `runs`, in this transaction."""
    state = select_many(
        col(RunRow.id),
        col(RunRow.status),
        col(RunRow.stopped_by),
        col(RunRow.turns),
        col(RunRow.tokens),
        col(RunRow.cost_microusd),
        col(RunRow.failing),
    ).where(col(RunRow.id).in_(ids))
    ended = (
        select_many(col(CallRow.run), func.count())
        .where(col(CallRow.run).in_(ids), col(CallRow.status) != "open")
        .group_by(col(CallRow.run))
    )
    noted = (
        select_many(col(AuditRow.run), func.count())
        .where(col(AuditRow.run).in_(ids))
        .group_by(col(AuditRow.run))
    )
    held = (
        select_many(
            col(CallRow.run),
            col(CallRow.turn),
            col(CallRow.index),
            col(CallRow.held_by),
        )
        .where(col(CallRow.run).in_(ids), col(CallRow.held_by).is_not(None))
        .order_by(col(CallRow.turn), col(CallRow.index))
    )
    effects = (
        select_many(col(EffectRow.run), col(EffectRow.key), col(EffectRow.status))
        .where(col(EffectRow.run).in_(ids))
        .order_by(col(EffectRow.key))
    )
    return await _each(session, ids, (state, ended, noted, held, effects))


async def approval(store: Store, approval_id: str) -> str:
    """Return the fingerprint of one item: its state, decisions and run."""
    return (await approvals(store, [approval_id]))[approval_id]


async def approvals(store: Store, ids: Sequence[str]) -> Mapping[str, str]:
    """Return the fingerprints of items, in as many queries as for one."""
    state = select_many(
        col(ApprovalRow.id),
        col(ApprovalRow.status),
        col(ApprovalRow.binding),
        col(ApprovalRow.answer_by),
        col(ApprovalRow.consumed_by),
        col(ApprovalRow.claimed_by),
        col(ApprovalRow.assigned_to),
        col(ApprovalRow.stamp),
    ).where(col(ApprovalRow.id).in_(ids))
    given = (
        select_many(col(DecisionRow.approval), col(DecisionRow.id))
        .where(col(DecisionRow.approval).in_(ids))
        .order_by(col(DecisionRow.id))
    )
    stopped = (
        select_many(col(ApprovalRow.id), col(RunRow.status), col(RunRow.stopped_by))
        .join(RunRow, col(ApprovalRow.run) == col(RunRow.id))
        .where(col(ApprovalRow.id).in_(ids))
    )
    async with store.read() as session:
        return await _each(session, ids, (state, given, stopped))


async def _each(
    session: Tx, names: Sequence[str], queries: Sequence[_Query]
) -> Mapping[str, str]:
    """Return a fingerprint of each name's rows, by the first column of each query."""
    rows: dict[str, list[list[object]]] = {
        name: [[] for _ in queries] for name in names
    }
    for place, query in enumerate(queries):
        for name, *values in await _all(session, query):
            rows[name][place].append(values)
    return {name: _digest(found) for name, found in rows.items()}


async def _by_tenant(
    store: Store, query: _Query, tenants: Sequence[str]
) -> Mapping[str, str]:
    async with store.read() as session:
        rows = await _all(session, query)
    found = {row[0]: _digest(row[1:]) for row in rows} | {ALL: _digest(rows)}
    return {one: found.get(one, "") for one in tenants}


async def _all(session: Tx, query: _Query) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in (await session.execute(query)).all()]


def _digest(rows: object) -> str:
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]
