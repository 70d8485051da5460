"""The answer of a call: what the model reads of it."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from keyturn.orchestrator.rules.status import CallStatus
from keyturn.orchestrator.rules.text import scrub
from keyturn.orchestrator.rules.text import storable as text_storable
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.ledger import keys
from keyturn.orchestrator.store.tables import (
    CallRow,
)


def end_call(
    session: AsyncSession,
    call: CallRow,
    status: CallStatus,
    words: str,
    *,
    now: datetime,
) -> None:
    """Give a call its answer: what the model reads."""
    # What was done is data; all else may quote somebody's error.
    words = words if status == "done" else scrub.text(words)
    call.status, call.result, call.ended_at = status, text_storable.text(words), now
    call.held_by = call.held_at = call.held_seen = None
    entry = log.Entry(
        actor=f"run:{call.run}",
        kind=f"call.{status}",
        run=call.run,
        subject=keys.call_id(call),
        payload={"tool": call.tool, "revision": call.revision, "words": words[:500]},
    )
    if call.gate != "read":
        log.record(session, entry, at=now)
