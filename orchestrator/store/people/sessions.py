"""Signed-in browsers, identified by the hash of their cookie."""

import hashlib
import secrets
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, JsonValue
from sqlalchemy import CursorResult
from sqlmodel import col, delete, or_, select, update

from keyturn.orchestrator.rules.errors import NotFound, StoreUnavailable
from keyturn.orchestrator.rules.ids import new_id
from keyturn.orchestrator.rules.notice import Origin
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db import row_codes
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.integrity import forgery
from keyturn.orchestrator.store.people import revocation
from keyturn.orchestrator.store.people.errors import AccountChanged
from keyturn.orchestrator.store.tables import PersonRow, SessionRow

IDLE = timedelta(hours=8)
LONGEST = timedelta(days=7)
# The last sight is written again when it is this old: so reading rarely writes.
SEEN_EVERY = timedelta(minutes=1)
# How long one cookie is used; a copied one is worth no more than that.
ROTATE_EVERY = timedelta(hours=1)
# A page's requests run side by side: the previous cookie is valid for this long.
OVERLAP = timedelta(minutes=1)
# How long it waits for the database; then it is left to the next request.
NOTED_WAIT_S = 0.2

Method = Literal["password", "oidc"]


class Came(BaseModel):
    """How and from where a person signed in, as the list of their sessions shows it."""

    model_config = ConfigDict(frozen=True)

    method: Method = "password"
    address: str = ""
    browser: str = ""


@dataclass(frozen=True)
class Opened:
    """A new session; `cookie` is given to the browser and not stored."""

    cookie: str
    row: SessionRow


@dataclass(frozen=True)
class Found:
    """The person of a cookie's session; `cookie` is the next one to use, if new."""

    person: PersonRow
    row: SessionRow
    cookie: str | None = None


@dataclass(frozen=True)
class SignedOut:
    """How many sessions and how many tokens ended together."""

    sessions: int
    tokens: int


async def begin(
    store: Store,
    person: PersonRow,
    *,
    instead_of: str | None,
    came: Came | None = None,
) -> Opened:
    """Open a session and end the one that the browser had before.

    `person` is the account as its password was checked: raises `AccountChanged` if the
    password has changed since, or the account is closed.
    """
    came = came or Came()
    cookie = secrets.token_urlsafe(32)
    async with store.write() as session:
        if came.method == "password":
            await _refuse_changed(session, person)
        now = await session.read_clock()
        if instead_of is not None:
            await session.execute(delete(SessionRow).where(_known_by(instead_of)))
        await _delete_ended(session)
        row = SessionRow(
            id=new_id("session"),
            person=person.id,
            hash=_hash(cookie),
            csrf=secrets.token_urlsafe(32),
            method=came.method,
            address=came.address[:100],
            browser=came.browser[:300],
            rotated_at=now,
            created_at=now,
            seen_at=now,
            ends_at=now + LONGEST,
        )
        session.add(row)
        _record(session, "session.began", row, **came.model_dump())
    return Opened(cookie=cookie, row=row)


async def find(store: Store, cookie: str, *, unasked: bool = False) -> Found | None:
    """Return the person of a cookie's session, or None if it has ended.

    `unasked`: a page sent it by itself, so nobody need be there; the session goes idle.

    The cookie is replaced from time to time: `Found.cookie` is then to be given to the
    browser. The old one is valid until the new one was seen, and a minute longer; a
    cookie that returns later was copied, and ends the session.
    """
    async with store.read() as session:
        query = select(SessionRow).where(_known_by(cookie))
        row = (await session.execute(query)).scalars().first()
        if row is None:
            return None
        person = await session.get(PersonRow, row.person)
        now = await session.read_clock()
    if person is None or person.disabled_at is not None or _is_over(row, now):
        return None
    if not await forgery.are_ours(store, row, person):
        return None
    is_old = row.hash != _hash(cookie)
    if is_old and row.old_until is not None and row.old_until <= now:
        await _end_copied(store, row)
        return None
    replaced, seen_at = None, row.seen_at if unasked else now
    if _is_to_rotate(row, now, is_old=is_old):
        replaced = await _rotate(store, row, sent=cookie, now=now, seen_at=seen_at)
    elif not is_old and row.old_hash is not None and row.old_until is None:
        await _update(store, row, old_until=now + OVERLAP, seen_at=seen_at)
    elif seen_at - row.seen_at > SEEN_EVERY:
        await _update(store, row, seen_at=seen_at)
    return Found(person, row, replaced)


async def owners(store: Store, ids: Collection[str]) -> dict[str, PersonRow]:
    """Return the people of these live sessions; does not count as a sight of them."""
    query = (
        select(SessionRow, PersonRow)
        .join(PersonRow, col(SessionRow.person) == col(PersonRow.id))
        .where(col(SessionRow.id).in_(ids), col(PersonRow.disabled_at).is_(None))
    )
    async with store.read() as session:
        found = (await session.execute(query)).all()
        now = await session.read_clock()
    return {
        row.id: person
        for row, person in found
        if not _is_over(row, now) and await forgery.are_ours(store, row, person)
    }


async def end(store: Store, session_id: str, *, by: str) -> None:
    """End one of a person's own sessions; raises `NotFound`, also for another's."""
    async with store.write() as session:
        row = await session.get(SessionRow, session_id)
        if row is None or row.person != by:
            raise NotFound(kind="session", name=session_id)
        await session.delete(row)
        await session.read_clock()
        _record(session, "session.ended", row)


async def end_all(
    store: Store,
    person: str,
    *,
    but: str | None = None,
    origin: Origin | None = None,
) -> SignedOut:
    """Sign a person out everywhere: end all sessions but one, and every token."""
    async with store.write() as session:
        now = await session.read_clock()
        rows = [one for one in await _of(session, person) if one.id != but]
        for row in rows:
            await session.delete(row)
            _record(session, "session.ended", row)
        revoked = await revocation.all_of(
            session, person, by=person, because="signed out everywhere"
        )
        done = SignedOut(sessions=len(rows), tokens=revoked)
        from_where = (origin or Origin()).model_dump()
        entry = log.Entry(
            actor=person,
            kind="session.ended_everywhere",
            subject=person,
            payload={**from_where, **asdict(done)},
        )
        log.record(session, entry, at=now)
        return done


async def listing(store: Store, person: str) -> list[SessionRow]:
    """Return a person's live sessions, latest seen first."""
    async with store.read() as session:
        now = await session.read_clock()
        found = [one for one in await _of(session, person) if not _is_over(one, now)]
    return sorted(found, key=lambda one: one.seen_at, reverse=True)


async def _refuse_changed(session: Tx, person: PersonRow) -> None:
    # Locked: a transaction that replaces the password ends this session, or comes
    # before it.
    row = await session.get(PersonRow, person.id, with_for_update={"read": True})
    is_same = row is not None and row.password_hash == person.password_hash
    if row is None or row.disabled_at is not None or not is_same:
        raise AccountChanged(
            "Your account was changed while you signed in; sign in again."
        )


def _is_over(row: SessionRow, now: datetime) -> bool:
    return row.ends_at <= now or row.seen_at + IDLE <= now


def _is_to_rotate(row: SessionRow, now: datetime, *, is_old: bool) -> bool:
    """Tell whether this request gets a new cookie.

    A browser that still sends the old one after the overlap never got the new one.
    """
    return now - row.rotated_at > (OVERLAP if is_old else ROTATE_EVERY)


async def _rotate(
    store: Store, row: SessionRow, *, sent: str, now: datetime, seen_at: datetime
) -> str | None:
    """Return a new cookie; None if another request was first.

    The old cookie is what the browser surely has: the one that it sent.
    """
    cookie = secrets.token_urlsafe(32)
    values = {
        "hash": _hash(cookie),
        "old_hash": _hash(sent),
        "old_until": None,
        "rotated_at": now,
        "seen_at": seen_at,
    }
    return cookie if await _update(store, row, **values) else None


async def _update(store: Store, row: SessionRow, **values: Any) -> bool:  # noqa: ANN401 columns of the row
    """Change a session that nobody else changed since it was read; tell whether."""
    changed = update(SessionRow).where(
        col(SessionRow.id) == row.id, col(SessionRow.hash) == row.hash
    )
    # A process that blocks the database must not keep people from reading.
    with suppress(StoreUnavailable):
        async with store.write(wait_s=NOTED_WAIT_S) as session:
            vouched = row_codes.changed(session, row, **values)
            done = await session.execute(changed.values(**vouched))
            result = cast("CursorResult[Any]", done)
            return result.rowcount == 1
    return False


async def _end_copied(store: Store, row: SessionRow) -> None:
    async with store.write() as session:
        found = await session.get(SessionRow, row.id)
        if found is not None:
            await session.delete(found)
            await session.read_clock()
            _record(session, "session.copied", row)


async def _of(session: Tx, person: str) -> list[SessionRow]:
    query = select(SessionRow).where(col(SessionRow.person) == person)
    return list((await session.execute(query)).scalars())


async def _delete_ended(session: Tx) -> None:
    ended = or_(
        col(SessionRow.ends_at) <= session.now,
        col(SessionRow.seen_at) <= session.now - IDLE,
    )
    await session.execute(delete(SessionRow).where(ended))


def _known_by(cookie: str):  # noqa: ANN202 a condition, whose type SQLModel builds
    hashed = _hash(cookie)
    return or_(col(SessionRow.hash) == hashed, col(SessionRow.old_hash) == hashed)


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()


def _record(
    session: Tx,
    kind: str,
    row: SessionRow,
    **payload: JsonValue,
) -> None:
    entry = log.Entry(actor=row.person, kind=kind, subject=row.id, payload={**payload})
    log.record(session, entry, at=session.now)
