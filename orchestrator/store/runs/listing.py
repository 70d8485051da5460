"""Runs as lists show them."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlmodel import col, select

from keyturn.orchestrator.rules.status import (
    RunStatus,
)
from keyturn.orchestrator.store.db import open_rows, row_count
from keyturn.orchestrator.store.db.row_count import Total
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    RunRow,
)


class Filter(BaseModel):
    """Which runs to list; None means any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workflow: str | None = None
    status: RunStatus | None = None
    tenant: str | None = None
    customer: str | None = None


async def listing(
    session: Tx, wanted: Filter, *, limit: int, before: str | None = None
) -> list[RunRow]:
    """Return runs, newest first; `before` is the last id of the page before."""
    query = _fits(select(RunRow), wanted).limit(limit)
    if before is not None:
        query = query.where(col(RunRow.id) < before)
    return list((await session.execute(query)).scalars())


async def total(session: Tx, wanted: Filter) -> Total:
    """Return how many runs match."""
    return await row_count.total(session, _fits(select(RunRow.id), wanted))


def _fits(query: Any, wanted: Filter) -> Any:  # noqa: ANN401 a select of runs
    query = query.order_by(col(RunRow.id).desc())
    for name, value in wanted.model_dump(exclude_none=True).items():
        query = query.where(getattr(RunRow, name) == value)
    return query


async def pending_approvals(session: Tx, runs: Sequence[str]) -> dict[str, list[str]]:
    """Return the ids of pending approvals, by run."""
    query = (
        select(ApprovalRow.run, ApprovalRow.id)
        .where(col(ApprovalRow.run).in_(runs), open_rows.approvals())
        .order_by(col(ApprovalRow.id))
    )
    found: dict[str, list[str]] = {}
    for run, approval in (await session.execute(query)).all():
        found.setdefault(run, []).append(approval)
    return found
