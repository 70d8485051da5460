"""Runs in the hands of people: taken over by one, settled outside."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, select

from orchestrator.rules.errors import KeyturnError
from orchestrator.rules.text import plain_text
from orchestrator.store import audit, runs
from orchestrator.store.approvals import Person
from orchestrator.store.engine import Store
from orchestrator.store.reopening import REOPENED
from orchestrator.store.tables import NoteRow, RunRow

TAKEN = "taken"
DONE_OUTSIDE = "done_outside"


class NotHandedOff(KeyturnError):
    """Only a run that was handed off is in a person's hands."""


class InOtherHands(KeyturnError):
    """Somebody else has taken this over, or it is settled."""


async def take(store: Store, run: str, person: Person) -> RunRow:
    """Take a hand-off over; a second call of the same person changes nothing.

    Raises `NotHandedOff`, or `InOtherHands` with the name of who was first.
    """
    async with store.write() as session:
        row = await _open(session, run)
        holder = await _latest(session, run, TAKEN)
        if holder is not None and holder.person == person.id:
            return row
        if holder is not None:
            raise InOtherHands(f"{holder.person_name} has taken {run} over.")
        now = await store.now(session)
        _write(session, row, person, TAKEN, "", now=now)
        return row


async def settle(store: Store, run: str, person: Person, *, text: str) -> RunRow:
    """Record that a person did outside what the run left; it leaves the queue."""
    text = plain_text.required(text, name="text")
    async with store.write() as session:
        row = await _open(session, run)
        now = await store.now(session)
        _write(session, row, person, DONE_OUTSIDE, text, now=now)
        row.settled_at = now
        return row


async def _open(session: AsyncSession, run: str) -> RunRow:
    """Return the locked run where it is handed off and not yet settled."""
    row = await runs.get(session, run, lock=True)
    if row.status != "handed_off":
        raise NotHandedOff(
            f"Run {run} is {row.status}; only a run that was handed off is taken over "
            "or settled by a person."
        )
    done = await _latest(session, run, DONE_OUTSIDE)
    if done is not None:
        raise InOtherHands(f"{done.person_name} has settled {run}: {done.text}")
    return row


async def _latest(session: AsyncSession, run: str, kind: str) -> NoteRow | None:
    # What was said before it came back is about what was settled then.
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


def _write(  # noqa: PLR0913 who did what with which run
    session: AsyncSession,
    row: RunRow,
    person: Person,
    kind: str,
    text: str,
    *,
    now: datetime,
) -> None:
    session.add(
        NoteRow(
            run=row.id,
            person=person.id,
            person_name=person.name,
            kind=kind,
            text=text,
            created_at=now,
        )
    )
    row.handed_off = {
        **(row.handed_off or {}),
        kind: {"by": person.name, "at": now.isoformat(), "text": text},
    }
    audit.record(
        session,
        audit.Entry(
            actor=person.id, kind=f"handoff.{kind}", tenant=row.tenant, run=row.id
        ),
        at=now,
    )
