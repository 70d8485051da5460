"""Bulk pauses and cancels that apply to runs which they have not reached yet.

Both hold from their commit on, before each run's own row says so: a transaction that
looks at a run with its row locked (`lookup.lock`) finds it marked, and marks it.
"""

from collections.abc import Sequence

from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import col, select

from keyturn.orchestrator.rules.status import ENDED_RUNS
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import BulkRow, RunRow

# Queried at each look at a run; building it takes longer than running it.
_OPEN = (
    select(BulkRow)
    .where(col(BulkRow.ended_at).is_(None), col(BulkRow.verb) != "resume")
    .order_by(col(BulkRow.id))
)
FIELDS = ("workflow", "status", "tenant", "customer")


async def over(session: Tx, run: RunRow) -> Sequence[BulkRow]:
    """Return what applies to an open run, oldest first."""
    rows = (await session.execute(_OPEN)).scalars()
    return [one for one in rows if covers(one, run)]


async def show(session: Tx, run: RunRow) -> None:
    """Show on a run that is only read what applies to it; nothing is written."""
    if run.status in ENDED_RUNS:
        return
    for bulk in await over(session, run):
        if bulk.verb == "pause" and run.paused_by is None:
            set_committed_value(run, "paused_by", bulk.by)
        elif bulk.verb == "cancel" and run.cancel_reason is None:
            set_committed_value(run, "cancel_reason", bulk.reason)


def covers(bulk: BulkRow, run: RunRow) -> bool:
    """Tell whether this has still to reach the run."""
    return _is_ahead(bulk, run.id) and matches(bulk, run)


def matches(bulk: BulkRow, run: RunRow) -> bool:
    """Tell whether the run is one of those that this was requested for."""
    return run.created_at <= bulk.created_at and all(
        getattr(bulk, name) in (None, getattr(run, name)) for name in FIELDS
    )


async def spare(session: Tx, run: str, *, verb: str) -> list[BulkRow]:
    """Keep every bulk pause, or resume, from reaching this run; return those.

    A person has since set this run otherwise, and the latest request holds. Called
    before the run's row is locked: a batch locks its bulk first, then its runs.
    """
    query = (
        select(BulkRow)
        .where(col(BulkRow.ended_at).is_(None), col(BulkRow.verb) == verb)
        .order_by(col(BulkRow.id))
        .with_for_update()
    )
    rows = (await session.execute(query)).scalars()
    ahead = [bulk for bulk in rows if _is_ahead(bulk, run)]
    for bulk in ahead:
        bulk.but = [*bulk.but, run]
    return ahead


def _is_ahead(bulk: BulkRow, run: str) -> bool:
    return run > bulk.after and run not in bulk.but
