"""Approvals as lists show them."""

from sqlmodel import col, select

from keyturn.orchestrator.store.approvals import queue_filter
from keyturn.orchestrator.store.approvals.queue_filter import Filter
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
)


async def listing(
    session: Tx, wanted: Filter, *, limit: int = 50, after: str | None = None
) -> list[ApprovalRow]:
    """Return approvals, the one that has waited longest first."""
    query = select(ApprovalRow).where(*queue_filter.conditions(wanted, now=session.now))
    query = query.order_by(col(ApprovalRow.id)).limit(limit)
    if after is not None:
        query = query.where(col(ApprovalRow.id) > after)
    return list((await session.execute(query)).scalars())
