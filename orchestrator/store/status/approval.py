"""The status of an approval: no other module writes it. One begins as `waiting`."""

from datetime import datetime

from sqlmodel import col, update

from keyturn.orchestrator.rules.status import (
    APPROVAL_TRANSITIONS,
    OPEN_APPROVALS,
    ApprovalStatus,
    is_allowed,
    sources,
)
from keyturn.orchestrator.store.db import digests
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.status.errors import NoSuchTransition
from keyturn.orchestrator.store.tables import ApprovalRow


def move(row: ApprovalRow, to: ApprovalStatus) -> None:
    """Give a locked approval another status; raises `NoSuchTransition`."""
    if not is_allowed(APPROVAL_TRANSITIONS, row.status, to):
        raise NoSuchTransition("approval", row.id, row.status, to)
    row.status = to


async def close_unused(
    session: Tx, run: str, to: ApprovalStatus, *, because: str, now: datetime
) -> None:
    """Close a locked run's open approvals, and approved ones that have not begun."""
    query = (
        update(ApprovalRow)
        .where(
            col(ApprovalRow.run) == run,
            col(ApprovalRow.status).in_(
                OPEN_APPROVALS & sources(APPROVAL_TRANSITIONS, to)
            ),
            col(ApprovalRow.consumed_by).is_(None),
        )
        .values(status=to, closed_because=because, closed_at=now)
        .returning(col(ApprovalRow.id))
    )
    closed = (await session.execute(query)).scalars()
    digests.changed(session, ApprovalRow, *((one,) for one in closed))
