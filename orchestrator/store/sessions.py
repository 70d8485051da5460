"""Signed-in browsers, known by the hash of their cookie."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from orchestrator.store import audit
from orchestrator.store.engine import Store
from orchestrator.store.tables import PersonRow, SessionRow

IDLE = timedelta(hours=8)
LONGEST = timedelta(days=7)
# How old a last sight may be before it is written again: reading stays reading.
SEEN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Opened:
    """A new session; `cookie` is shown to the browser and kept nowhere."""

    cookie: str
    row: SessionRow


async def begin(store: Store, person: PersonRow, *, instead_of: str | None) -> Opened:
    """Open a session and end the one that the browser had before."""
    cookie = secrets.token_urlsafe(32)
    async with store.write() as session:
        now = await store.now(session)
        if instead_of is not None:
            await _delete(session, instead_of)
        row = SessionRow(
            id=_hash(cookie),
            person=person.id,
            csrf=secrets.token_urlsafe(32),
            created_at=now,
            seen_at=now,
            ends_at=now + LONGEST,
        )
        session.add(row)
        audit.record(session, _entry("session.began", person.id, row.id), at=now)
    return Opened(cookie=cookie, row=row)


async def find(store: Store, cookie: str) -> tuple[PersonRow, SessionRow] | None:
    """Return whose session a cookie is, or None where it has ended."""
    async with store.read() as session:
        row = await session.get(SessionRow, _hash(cookie))
        if row is None:
            return None
        person = await session.get(PersonRow, row.person)
        now = await store.now(session)
    if person is None or person.disabled_at is not None or _is_over(row, now):
        return None
    if now - row.seen_at > SEEN_EVERY:
        await _see(store, row.id, now=now)
    return person, row


async def end(store: Store, cookie: str) -> None:
    """End a session; one that has ended already is no fault."""
    async with store.write() as session:
        row = await session.get(SessionRow, _hash(cookie))
        if row is None:
            return
        await session.delete(row)
        now = await store.now(session)
        audit.record(session, _entry("session.ended", row.person, row.id), at=now)


def _is_over(row: SessionRow, now: datetime) -> bool:
    return row.ends_at <= now or row.seen_at + IDLE <= now


async def _see(store: Store, session_id: str, *, now: datetime) -> None:
    async with store.write() as session:
        row = await session.get(SessionRow, session_id)
        if row is not None:
            row.seen_at = now


async def _delete(session: AsyncSession, cookie: str) -> None:
    row = await session.get(SessionRow, _hash(cookie))
    if row is not None:
        await session.delete(row)


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()


def _entry(kind: str, person: str, session_id: str) -> audit.Entry:
    return audit.Entry(actor=person, kind=kind, subject=session_id)
