"""The approval of a call's current revision."""

from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import ApprovalRow, CallRow


def current_approval(call: CallRow) -> SelectOfScalar[ApprovalRow]:
    """Return the query for the approval of the call's current revision."""
    return select(ApprovalRow).where(
        col(ApprovalRow.run) == call.run,
        col(ApprovalRow.turn) == call.turn,
        col(ApprovalRow.index) == call.index,
        col(ApprovalRow.revision) == call.revision,
    )


async def latest_approval(session: Tx, call: CallRow) -> ApprovalRow | None:
    """Return the approval of the call's current revision, not locked."""
    return (await session.execute(current_approval(call))).scalar_one_or_none()
