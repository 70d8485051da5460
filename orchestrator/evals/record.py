"""The result of a case: the record of its run."""

from dataclasses import dataclass
from typing import TypeVar

from sqlmodel import col, select

from keyturn.orchestrator.evals.engine import Engine
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    CallRow,
    EffectRow,
    MessageRow,
    RunRow,
    TurnRow,
)


@dataclass(frozen=True)
class Record:
    """A run with its calls, approvals, effects, prompts and sent messages."""

    run: RunRow
    calls: list[CallRow]
    approvals: list[ApprovalRow]
    effects: list[EffectRow]
    turns: list[TurnRow]
    prompts: list[str]

    @property
    def tokens(self) -> int:
        """Return the tokens of all turns."""
        return sum(turn.tokens for turn in self.turns)

    @property
    def cost_usd(self) -> float:
        """Return the cost of all turns."""
        return sum(turn.cost_microusd for turn in self.turns) / 1_000_000


async def read(engine: Engine, run: str) -> Record:
    """Return the record of a run as it is now."""
    async with engine.store.read() as session:
        opened = await session.get(MessageRow, (run, 0, 0))
        prompts = engine.outside.prompts.get(opened.text if opened else "", [])
        return Record(
            run=await run_lookup.get(session, run),
            calls=await _of(session, CallRow, run),
            approvals=await _of(session, ApprovalRow, run),
            effects=await _of(session, EffectRow, run),
            turns=await _of(session, TurnRow, run),
            prompts=list(prompts),
        )


Row = TypeVar("Row", CallRow, ApprovalRow, EffectRow, TurnRow)


async def _of(session: Tx, table: type[Row], run: str) -> list[Row]:
    """Return a run's rows in the order in which they were drafted."""
    query = select(table).where(col(table.run) == run)
    rows = list((await session.execute(query)).scalars())
    return sorted(rows, key=lambda row: (row.turn, getattr(row, "index", 0)))
