"""Closing the open approvals of a run that ends or goes on otherwise."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, update

from keyturn.orchestrator.rules.status import (
    OPEN_APPROVALS,
)
from keyturn.orchestrator.rules.text import model_notices
from keyturn.orchestrator.store.db import digests
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
)


async def cancel_approvals(session: AsyncSession, run: str, *, now: datetime) -> None:
    """Close what of a run waits or is not yet begun: it ends."""
    await _close_approvals(
        session, run, status="cancelled", because="the run was ended", now=now
    )


async def void_approvals(session: AsyncSession, run: str, *, now: datetime) -> None:
    """Void the open approvals of a run whose customer wrote again."""
    await _close_approvals(
        session, run, status="void", because=model_notices.customer_wrote(), now=now
    )


async def _close_approvals(
    session: AsyncSession, run: str, *, status: str, because: str, now: datetime
) -> None:
    """Close what waits and what is approved but not yet begun."""
    query = (
        update(ApprovalRow)
        .where(
            col(ApprovalRow.run) == run,
            col(ApprovalRow.status).in_(OPEN_APPROVALS),
            col(ApprovalRow.consumed_by).is_(None),
        )
        .values(status=status, closed_because=because, closed_at=now)
        .returning(col(ApprovalRow.id))
    )
    closed = (await session.execute(query)).scalars()
    digests.changed(session, ApprovalRow, *((one,) for one in closed))
