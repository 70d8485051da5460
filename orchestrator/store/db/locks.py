"""Rows locked for a change."""

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    CallRow,
)


async def latest(
    session: AsyncSession, call: CallRow, *, lock: bool = False
) -> ApprovalRow | None:
    """Return the approval of the call's current revision."""
    query = select(ApprovalRow).where(
        col(ApprovalRow.run) == call.run,
        col(ApprovalRow.turn) == call.turn,
        col(ApprovalRow.index) == call.index,
        col(ApprovalRow.revision) == call.revision,
    )
    if lock:
        query = query.with_for_update()
    return (await session.execute(query)).scalar_one_or_none()
