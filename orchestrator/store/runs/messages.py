"""Messages of the customer while the run is open."""

from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, or_, select

from keyturn.orchestrator.rules.text import plain_text
from keyturn.orchestrator.store import outbox
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.runs import closure
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.runs.errors import ExternalIdReused
from keyturn.orchestrator.store.tables import (
    CallRow,
    CustomerMessageRow,
    RunRow,
)


async def has_customer_written(
    session: Tx, call: CallRow, *, since: datetime | None = None
) -> bool:
    """Tell whether there is a message that the model had not read when it drafted.

    Or one that came `since` somebody decided, whichever turn is recorded to have read
    it.
    """
    late = [col(CustomerMessageRow.created_at) > since] if since is not None else []
    query = select(CustomerMessageRow.id).where(
        col(CustomerMessageRow.run) == call.run,
        or_(
            col(CustomerMessageRow.turn).is_(None),
            col(CustomerMessageRow.turn) > call.turn,
            *late,
        ),
    )
    return (await session.execute(query.limit(1))).first() is not None


async def customer_wrote(
    store: Store, run: str, *, text: str, external_id: str | None, by: str
) -> RunRow:
    """Add a new message; waiting drafts become void and will be drafted again.

    Raises `InvalidValue` for an invalid or too long text, `ExternalIdReused` for
    another text under an external id that came before.
    """
    plain_text.check({"text": text, "external_id": external_id})
    try:
        async with store.write() as session:
            row = await run_lookup.lock(session, run)
            run_lookup.must_be_open(row)
            now = await session.read_clock()
            session.add(
                CustomerMessageRow(
                    run=run, text=text, by=by, external_id=external_id, created_at=now
                )
            )
            await session.flush()
            await closure.void_approvals(session, run)
            outbox.add(session, "wake", run, at=now)
            entry = run_lookup.entry_of(row, "run.customer_wrote", by=by)
            log.record(session, entry, at=now)
            return row
    except IntegrityError:
        # The same message came before, under the same external id.
        async with store.read() as session:
            await _refuse_another_text(session, run, external_id, text)
            return await run_lookup.get(session, run)


async def _refuse_another_text(
    session: Tx, run: str, external_id: str | None, text: str
) -> None:
    query = select(CustomerMessageRow.text).where(
        col(CustomerMessageRow.run) == run,
        col(CustomerMessageRow.external_id) == external_id,
    )
    if (await session.execute(query)).scalar_one_or_none() != text:
        raise ExternalIdReused(
            f"Run {run} already has a message {external_id!r} with another text; "
            "nothing was added. Send this one with a new external id."
        )
