"""Deadlines: people are warned before them, and approvals escalate after them."""

from datetime import datetime

from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from keyturn.orchestrator.rules.policy.rules import Verdict
from keyturn.orchestrator.store.approvals import assignment, request
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db import locks, open_rows
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    RunRow,
)


def escalate(session: Tx, row: ApprovalRow) -> bool:
    """Ask the next role of the chain, with its own time; False if there is none.

    If the rule assigns, the web process draws a person again.
    """
    chain = Verdict.model_validate(row.verdict).escalate
    if row.level >= len(chain):
        return False
    step = chain[row.level]
    row.level += 1
    row.role, row.answer_by = step.role, session.now + step.within
    request.warn_later(row, now=session.now)
    # The person who holds the claim may not have the role that is asked now.
    assignment.release_claim(row)
    because = f"nobody answered in time; now it waits for the role {step.role}"
    log.record(
        session, request.entry_of("approval.escalated", row, because), at=session.now
    )
    row.assigned_to = None
    return True


async def warn(store: Store, *, limit: int = 100) -> int:
    """Warn people of approvals that are about to expire, once each; return how many.

    Any process may do it. The clock of a stopped run stands still.
    """
    async with store.read() as session:
        due = _due(now=await session.read_clock(), limit=1)
        if (await session.execute(due)).first() is None:
            return 0
    async with store.write() as session:
        now = await session.read_clock()
        rows = await locks.due_approvals(session, _due(now=now, limit=limit))
        for row in rows:
            row.warned_at = now
            log.record(session, _warning(row), at=now)
        return len(rows)


def _due(*, now: datetime, limit: int) -> SelectOfScalar[ApprovalRow]:
    return (
        select(ApprovalRow)
        .join(RunRow, col(RunRow.id) == col(ApprovalRow.run))
        .where(
            open_rows.approvals(),
            col(ApprovalRow.warned_at).is_(None),
            col(ApprovalRow.warn_at) <= now,
            col(ApprovalRow.answer_by) > now,
            col(RunRow.stopped_at).is_(None),
            col(ApprovalRow.held_at).is_(None),
            open_rows.runs(),
        )
        .order_by(col(ApprovalRow.warn_at))
        .limit(limit)
    )


def _warning(row: ApprovalRow) -> log.Entry:
    return log.Entry(
        actor="system",
        kind="approval.warned",
        tenant=row.tenant,
        run=row.run,
        subject=row.id,
        payload={"answer_by": row.answer_by.isoformat()},
    )
