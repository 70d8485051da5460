"""An approval by its id with its decisions, read or locked."""

from collections.abc import Sequence

from sqlmodel import col, select

from keyturn.orchestrator.rules.authority.binding import (
    Grounds,
    Statement,
)
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.store.db import locks
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    CallRow,
    DecisionRow,
    RunRow,
)


async def get(session: Tx, approval: str, *, tenant: str | None = None) -> ApprovalRow:
    """Return the approval, or raise `NotFound`, also for another tenant's."""
    row = await session.get(ApprovalRow, approval)
    if row is None or tenant not in (None, row.tenant):
        raise NotFound(kind="approval", name=approval)
    return row


async def decisions(session: Tx, approval: str) -> list[DecisionRow]:
    """Return an approval's decisions in the order given."""
    query = (
        select(DecisionRow)
        .where(col(DecisionRow.approval) == approval)
        .order_by(col(DecisionRow.id))
    )
    return list((await session.execute(query)).scalars())


async def decisions_of(session: Tx, ids: Sequence[str]) -> dict[str, list[DecisionRow]]:
    """Return the decisions of many approvals, by approval, in the order given."""
    query = (
        select(DecisionRow)
        .where(col(DecisionRow.approval).in_(ids))
        .order_by(col(DecisionRow.id))
    )
    found: dict[str, list[DecisionRow]] = {}
    for row in (await session.execute(query)).scalars():
        found.setdefault(row.approval, []).append(row)
    return found


def statement(row: DecisionRow) -> Statement:
    """Return the statement that a decision's signature must cover."""
    return Statement(
        approval=row.approval,
        binding=row.binding,
        effective=row.effective,
        person=row.person,
        session=row.session,
        decision=row.decision,
        at=row.at,
        grounds=Grounds.model_validate_json(row.grounds) if row.grounds else None,
    )


async def lock(
    session: Tx, approval: str, *, tenant: str | None
) -> tuple[ApprovalRow, RunRow, CallRow]:
    """Lock an approval's run, the approval and its call, in this order; return them.

    Raises `NotFound`, also for another tenant's.
    """
    found = await get(session, approval, tenant=tenant)
    run = await run_lookup.lock(session, found.run)
    await locks.refresh_approval(session, found)
    call = await locks.call(session, found.run, found.turn, found.index)
    if call is None:
        raise NotFound(kind="call", name=f"{found.run}:{found.turn}.{found.index}")
    return found, run, call
