"""A run's whole record, as its page and its trace show it."""

from dataclasses import dataclass
from typing import Any

from sqlmodel import col, select

from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    AttemptRow,
    CallRow,
    CustomerMessageRow,
    DecisionRow,
    EffectRow,
    MessageRow,
    NoteRow,
    RunRow,
    TurnRow,
)
from keyturn.orchestrator.store.views import item

# A page reads this many turns at once; a run may have thousands.
TURNS_A_PAGE = 50


@dataclass(frozen=True)
class Record:
    """A run and its rows of some turns; `earlier` says whether there are more."""

    run: RunRow
    turns: list[TurnRow]
    messages: list[MessageRow]
    calls: list[CallRow]
    approvals: list[ApprovalRow]
    decisions: list[DecisionRow]
    effects: list[EffectRow]
    attempts: list[AttemptRow]
    customer_wrote: list[CustomerMessageRow]
    notes: list[NoteRow]
    earlier: int | None


async def of_tenant(session: Tx, run_id: str, *, tenant: str | None) -> RunRow:
    """Return the run, or raise `NotFound`, also for another tenant's."""
    run = await run_lookup.get(session, run_id)
    if tenant not in (None, run.tenant):
        raise NotFound(kind="run", name=run_id)
    return run


async def load(
    store: Store, run_id: str, *, tenant: str | None, before: int | None = None
) -> Record:
    """Return the run's latest turns, or those before a turn; raises `NotFound`."""
    async with store.read() as session:
        run = await of_tenant(session, run_id, tenant=tenant)
        turns = await _turns(session, run_id, before)
        earlier = turns[0].turn if len(turns) > TURNS_A_PAGE else None
        kept = turns[-TURNS_A_PAGE:]
        first = kept[0].turn if earlier else 0
        last = before - 1 if before is not None else None
        approvals = await _of(session, ApprovalRow, run_id, first, last)
        return Record(
            run=run,
            turns=kept,
            messages=await _of(session, MessageRow, run_id, first, last),
            calls=await _of(session, CallRow, run_id, first, last),
            approvals=approvals,
            decisions=await _decisions(session, approvals),
            effects=await _of(session, EffectRow, run_id, first, last),
            attempts=await _of(session, AttemptRow, run_id, first, last),
            customer_wrote=await item.customer_messages(session, run_id),
            notes=await item.notes(session, run_id),
            earlier=kept[0].turn if earlier is not None else None,
        )


async def _turns(session: Tx, run: str, before: int | None) -> list[TurnRow]:
    query = (
        select(TurnRow)
        .where(col(TurnRow.run) == run)
        .order_by(col(TurnRow.turn).desc())
        .limit(TURNS_A_PAGE + 1)
    )
    if before is not None:
        query = query.where(col(TurnRow.turn) < before)
    return list((await session.execute(query)).scalars())[::-1]


async def _of(
    session: Tx,
    table: Any,  # noqa: ANN401 any table with run and turn
    run: str,
    first: int,
    last: int | None,
) -> list[Any]:
    query = select(table).where(col(table.run) == run, col(table.turn) >= first)
    if last is not None:
        query = query.where(col(table.turn) <= last)
    order = [col(table.turn)]
    if hasattr(table, "index"):
        order.append(col(table.index))
    order.append(col(getattr(table, "revision", getattr(table, "created_at", None))))
    return list((await session.execute(query.order_by(*order))).scalars())


async def _decisions(session: Tx, approvals: list[ApprovalRow]) -> list[DecisionRow]:
    query = (
        select(DecisionRow)
        .where(col(DecisionRow.approval).in_([one.id for one in approvals]))
        .order_by(col(DecisionRow.id))
    )
    return list((await session.execute(query)).scalars())
