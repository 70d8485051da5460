"""Runs that have not ended, for the comparison with Temporal (P9)."""

from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Select
from sqlmodel import col, func, select

from keyturn.orchestrator.rules.status import (
    COMPENSATE,
    ENDED_RUNS,
)
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db import open_rows
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.tables import (
    AttemptRow,
    AuditRow,
    RunRow,
)

RESTARTED = "run.started_again"
RESTART_AGAIN = timedelta(seconds=15)


_Columns = tuple[str, str, str | None, dict[str, Any] | None]


class OpenRun(BaseModel):
    """A run that has not ended, and the workflow that executes it.

    `failing`: the places of it that are shown as failing.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    workflow: str
    failing: tuple[str, ...] = ()


async def open_runs(
    store: Store, *, after: str, grace: timedelta, limit: int
) -> list[OpenRun]:
    """Return runs older than `grace` that are neither ended nor paused, by id."""
    async with store.read() as session:
        query = _open(after, await session.read_clock() - grace, limit)
        return await _found(session, query.where(open_rows.runs()))


async def busy_runs(
    store: Store, *, after: str, grace: timedelta, limit: int
) -> list[OpenRun]:
    """Return those of them that wait for no person, switch or model, by id."""
    asking_a_model = select(AttemptRow.run).where(open_rows.sent_attempts())
    async with store.read() as session:
        query = _open(after, await session.read_clock() - grace, limit)
        query = query.where(open_rows.busy_runs())
        return await _found(session, query.where(~col(RunRow.id).in_(asking_a_model)))


def _open(after: str, begun_by: datetime, limit: int) -> Select[*_Columns]:
    return (
        select(
            col(RunRow.id),
            col(RunRow.workflow),
            col(RunRow.compensates),
            col(RunRow.failing),
        )
        .where(col(RunRow.id) > after, col(RunRow.paused_by).is_(None))
        .where(col(RunRow.created_at) <= begun_by)
        .order_by(col(RunRow.id))
        .limit(limit)
    )


async def _found(session: Tx, query: Select[*_Columns]) -> list[OpenRun]:
    rows = (await session.execute(query)).all()
    return [
        OpenRun(
            id=name,
            workflow=workflow if taken_back is None else COMPENSATE,
            failing=tuple(failing or ()),
        )
        for name, workflow, taken_back, failing in rows
    ]


async def note_restart(store: Store, run: str, *, why: str) -> bool:
    """Record that a lost run is started again; False if it should not be.

    A run that is lost repeatedly is started ever less often.
    """
    async with store.write() as session:
        row = await run_lookup.lock(session, run)
        now = await session.read_clock()
        before = select(func.count(), func.max(col(AuditRow.at))).where(
            col(AuditRow.run) == run, col(AuditRow.kind) == RESTARTED
        )
        times, last = (await session.execute(before)).one()
        if row.status in ENDED_RUNS:
            return False
        if times and now - last < RESTART_AGAIN * 2 ** min(times, 8):
            return False
        entry = run_lookup.entry_of(row, RESTARTED, by="system", reason=why)
        log.record(session, entry, at=now)
        return True
