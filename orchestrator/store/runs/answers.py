"""The answer of a call: what the model reads of it."""

from dataclasses import replace

from keyturn.orchestrator.rules.status import CallStatus
from keyturn.orchestrator.rules.text import model_notices, scrub
from keyturn.orchestrator.rules.text import storable as text_storable
from keyturn.orchestrator.rules.text.model_notices import ModelNotice, Told
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.ledger import keys
from keyturn.orchestrator.store.status import call as call_status
from keyturn.orchestrator.store.tables import (
    CallRow,
)


def end_call(session: Tx, call: CallRow, status: CallStatus, answer: Told) -> None:
    """Give a call its answer: what the model reads."""
    text = stored(answer)
    call_status.move(call, status)
    call.result, call.ended_at = text, session.now
    call.held_by = call.held_at = call.held_seen = None
    entry = log.Entry(
        actor=f"run:{call.run}",
        kind=f"call.{status}",
        run=call.run,
        subject=keys.call_id(call),
        payload={
            "tool": call.tool,
            "revision": call.revision,
            "words": model_notices.for_people(text)[:500],
        },
    )
    if call.gate != "read":
        log.record(session, entry, at=session.now)


def stored(answer: Told) -> str:
    """Return an answer's text as its row keeps it."""
    if isinstance(answer, ModelNotice):
        # It may quote another program's error; a tool's result is data.
        answer = replace(answer, words=scrub.text(answer.words))
    return text_storable.text(answer.text)
