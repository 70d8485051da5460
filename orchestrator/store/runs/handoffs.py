"""Hand-offs: runs that one person takes over, and that are settled outside."""

from sqlmodel import col, func, select

from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.text import plain_text
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.runs.errors import InOtherHands, NotHandedOff
from keyturn.orchestrator.store.tables import NoteRow, RunRow

TAKEN = "taken"
DONE_OUTSIDE = "done_outside"


async def take(store: Store, run: str, person: Person) -> RunRow:
    """Take a hand-off over; a second call of the same person changes nothing.

    Raises `NotHandedOff`, or `InOtherHands` with the name of the person who was first.
    """
    async with store.write() as session:
        row = await _open(session, run)
        holder = await _latest(session, run, TAKEN)
        if holder is not None and holder.person == person.id:
            return row
        if holder is not None:
            raise InOtherHands(f"{holder.person_name} has already taken over {run}.")
        await session.read_clock()
        _write(session, row, person, TAKEN, "")
        return row


async def settle(store: Store, run: str, person: Person, *, text: str) -> RunRow:
    """Record that a person did outside what the run left open; it leaves the queue."""
    text = plain_text.required(text, name="text")
    async with store.write() as session:
        row = await _open(session, run)
        now = await session.read_clock()
        _write(session, row, person, DONE_OUTSIDE, text)
        row.settled_at = now
        return row


async def _open(session: Tx, run: str) -> RunRow:
    """Return the locked run if it is handed off and not yet settled."""
    row = await run_lookup.lock(session, run)
    if row.status != "handed_off":
        raise NotHandedOff(
            f"Run {run} is {row.status}; only a run that was handed off can be taken over "
            "or settled by a person."
        )
    done = await _latest(session, run, DONE_OUTSIDE)
    if done is not None:
        raise InOtherHands(f"{done.person_name} has already settled {run}: {done.text}")
    return row


async def _latest(session: Tx, run: str, kind: str) -> NoteRow | None:
    # Earlier words, from before it came back, are about what was settled then.
    back = (
        select(func.coalesce(func.max(NoteRow.id), 0))
        .where(col(NoteRow.run) == run, col(NoteRow.kind) == REOPENED)
        .scalar_subquery()
    )
    query = (
        select(NoteRow)
        .where(col(NoteRow.run) == run, col(NoteRow.kind) == kind)
        .where(col(NoteRow.id) > back)
        .order_by(col(NoteRow.id).desc())
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()


def _write(session: Tx, row: RunRow, person: Person, kind: str, text: str) -> None:
    session.add(
        NoteRow(
            run=row.id,
            person=person.id,
            person_name=person.name,
            kind=kind,
            text=text,
            created_at=session.now,
        )
    )
    row.handed_off = {
        **(row.handed_off or {}),
        kind: {"by": person.name, "at": session.now.isoformat(), "text": text},
    }
    log.record(
        session,
        log.Entry(
            actor=person.id, kind=f"handoff.{kind}", tenant=row.tenant, run=row.id
        ),
        at=session.now,
    )


# A note of this kind returns an ended run to the hand-offs.
REOPENED = "reopened"
