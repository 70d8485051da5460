"""Everything that a run left in the record."""

from dataclasses import dataclass
from typing import Any, TypeVar

from sqlmodel import SQLModel, col, select

from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    AttemptRow,
    AuditRow,
    CallRow,
    CustomerMessageRow,
    DecisionRow,
    EffectRow,
    MessageRow,
    NoteRow,
    RunRow,
    StepRow,
    TurnRow,
)
from keyturn.orchestrator.store.views import timeline

Row = TypeVar("Row", bound=SQLModel)


@dataclass(frozen=True)
class Trace:
    """A run with every row that names it, each kind in its order."""

    run: RunRow
    steps: list[StepRow]
    turns: list[TurnRow]
    messages: list[MessageRow]
    calls: list[CallRow]
    approvals: list[ApprovalRow]
    decisions: dict[str, list[DecisionRow]]
    attempts: list[AttemptRow]
    effects: list[EffectRow]
    customer_messages: list[CustomerMessageRow]
    notes: list[NoteRow]
    audit: list[AuditRow]


async def load(store: Store, run: str, *, tenant: str | None) -> Trace:
    """Return a run's whole record, or raise `NotFound`, also for another tenant's."""
    async with store.read() as session:
        row = await timeline.of_tenant(session, run, tenant=tenant)
        asked = await _of(session, ApprovalRow, run, "turn", "index", "revision")
        ids = [one.id for one in asked]
        return Trace(
            run=row,
            steps=await _of(session, StepRow, run, "step"),
            turns=await _of(session, TurnRow, run, "turn"),
            messages=await _of(session, MessageRow, run, "turn", "index"),
            calls=await _of(session, CallRow, run, "turn", "index"),
            approvals=asked,
            decisions=await approval_lookup.decisions_of(session, ids),
            attempts=await _of(session, AttemptRow, run, "turn", "number"),
            effects=await _of(session, EffectRow, run, "turn", "index", "revision"),
            customer_messages=await _of(session, CustomerMessageRow, run, "id"),
            notes=await _of(session, NoteRow, run, "id"),
            audit=await _of(session, AuditRow, run, "id"),
        )


async def _of(session: Tx, table: type[Row], run: str, *order: str) -> list[Row]:
    columns: Any = table
    query = select(table).where(col(columns.run) == run)
    for name in order:
        query = query.order_by(col(getattr(columns, name)))
    return list((await session.execute(query)).scalars())
