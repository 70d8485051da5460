"""What stands over runs that it has not reached yet: a pause or cancel by filter.

Both hold from their commit on, before each run's own row says so: whoever looks at a run
with its row locked (`lookup.lock`) finds it marked, and marks it.
"""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import col, select

from keyturn.orchestrator.rules.status import ENDED_RUNS
from keyturn.orchestrator.store.tables import BulkRow, RunRow

# Asked at each look at a run; to build it takes longer than to ask it.
_OPEN = (
    select(BulkRow)
    .where(col(BulkRow.ended_at).is_(None), col(BulkRow.verb) != "resume")
    .order_by(col(BulkRow.id))
)
FIELDS = ("workflow", "status", "tenant", "customer")


async def over(session: AsyncSession, run: RunRow) -> Sequence[BulkRow]:
    """Return what stands over a run that is open, oldest first."""
    rows = (await session.execute(_OPEN)).scalars()
    return [one for one in rows if covers(one, run)]


async def show(session: AsyncSession, run: RunRow) -> None:
    """Let a run that is only read show what stands over it; nothing is written."""
    if run.status in ENDED_RUNS:
        return
    for bulk in await over(session, run):
        if bulk.verb == "pause" and run.paused_by is None:
            set_committed_value(run, "paused_by", bulk.by)
        elif bulk.verb == "cancel" and run.cancel_reason is None:
            set_committed_value(run, "cancel_reason", bulk.reason)


def covers(bulk: BulkRow, run: RunRow) -> bool:
    """Tell whether the run is one that this has still to reach."""
    return _is_ahead(bulk, run.id) and matches(bulk, run)


def matches(bulk: BulkRow, run: RunRow) -> bool:
    """Tell whether the run is one of those that this was asked for."""
    return run.created_at <= bulk.created_at and all(
        getattr(bulk, name) in (None, getattr(run, name)) for name in FIELDS
    )


async def spare(session: AsyncSession, run: str, *, verb: str) -> list[BulkRow]:
    """Keep every pause, or resume, of many from reaching this run; return those.

    Somebody has it otherwise for this one since, and what is asked for last holds.
    Called before the run's row is locked: a batch locks its bulk first, then its runs.
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
