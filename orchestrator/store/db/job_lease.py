"""Leases on jobs that one process at a time does; any process may take over."""

from datetime import timedelta

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import LeaseRow


async def take(store: Store, job: str, *, holder: str, period: timedelta) -> bool:
    """Return whether `holder` has the job now, for `period` from now."""
    try:
        async with store.write() as session:
            now = await session.read_clock()
            row = await _locked(session, job)
            if row is None:
                session.add(LeaseRow(job=job, holder=holder, until=now + period))
                return True
            if row.holder != holder and row.until > now:
                return False
            row.holder, row.until = holder, now + period
            return True
    except IntegrityError:
        # Another process inserted the same job's first row.
        return False


async def _locked(session: Tx, job: str) -> LeaseRow | None:
    query = select(LeaseRow).where(col(LeaseRow.job) == job).with_for_update()
    return (await session.execute(query)).scalar_one_or_none()
