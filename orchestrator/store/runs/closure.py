"""Closing the open approvals of a run that ends or continues otherwise."""

from datetime import datetime

from keyturn.orchestrator.rules.text import model_notices
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.status import approval as approval_status


async def cancel_approvals(session: Tx, run: str, *, now: datetime) -> None:
    """Close a run's approvals that wait or have not begun, because the run ends."""
    because = "the run was ended"
    await approval_status.close_unused(
        session, run, "cancelled", because=because, now=now
    )


async def void_approvals(session: Tx, run: str) -> None:
    """Void the open approvals of a run whose customer wrote again."""
    because = model_notices.customer_wrote()
    await approval_status.close_unused(
        session, run, "void", because=because, now=session.now
    )
