"""An approval's history: its call's revisions and redrafts, from the first draft."""

from dataclasses import dataclass

from sqlmodel import col, select

from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import ApprovalRow, DecisionRow


@dataclass(frozen=True)
class Draft:
    """One draft of a thread, with people's answers to it."""

    approval: ApprovalRow
    decisions: list[DecisionRow]


async def of(session: Tx, approval: ApprovalRow) -> list[Draft]:
    """Return all drafts of the approval's thread, oldest first, including itself."""
    query = (
        select(ApprovalRow)
        .where(
            col(ApprovalRow.run) == approval.run,
            col(ApprovalRow.tool) == approval.tool,
        )
        .order_by(
            col(ApprovalRow.turn), col(ApprovalRow.index), col(ApprovalRow.revision)
        )
    )
    found = _same_thread(list((await session.execute(query)).scalars()), approval.id)
    given = await approval_lookup.decisions_of(session, [one.id for one in found])
    return [Draft(one, given.get(one.id, [])) for one in found]


def _same_thread(rows: list[ApprovalRow], approval: str) -> list[ApprovalRow]:
    # A redraft names the approval that it replaces; a revision belongs to its call.
    roots: dict[str, str] = {}
    calls: dict[tuple[int, int], str] = {}
    for row in rows:
        before = row.redraft_of or calls.get((row.turn, row.index)) or row.id
        roots[row.id] = roots.get(before, before)
        calls.setdefault((row.turn, row.index), row.id)
    return [row for row in rows if roots[row.id] == roots[approval]]
