"""People and services: who may sign in, and as what."""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select, update

from orchestrator.errors import KeyturnError, NotFound
from orchestrator.policy import APPROVER_RANK, Role
from orchestrator.store import audit
from orchestrator.store.engine import Store
from orchestrator.store.runs import new_id
from orchestrator.store.tables import PersonRow, SessionRow, TokenRow

# So long whoever is new to approving sees how it is done, and does not decide.
NEW_FOR = timedelta(days=1)


class NewPerson(BaseModel):
    """An account to open; `tenant` None sees every tenant. A service decides nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    email: str = Field(pattern=r"^[^@\s\x00]{1,64}@[^@\s\x00]{1,190}$")
    role: Role
    kind: Literal["person", "service"] = "person"
    tenant: str | None = Field(default=None, min_length=1, max_length=200)


class EmailTaken(KeyturnError):
    """Somebody has an account with this address already."""


async def add(
    store: Store, new: NewPerson, *, password_hash: str | None, by: str
) -> PersonRow:
    """Open an account and return it; raises `EmailTaken`.

    Who is new to approving decides a day later, but for the first one of all.
    """
    email = _normal(new.email)
    try:
        async with store.write() as session:
            now = await store.now(session)
            row = PersonRow(
                id=new_id("person"),
                name=new.name,
                email=email,
                kind=new.kind,
                role=new.role,
                tenant=new.tenant,
                password_hash=password_hash,
                approves_from=await _approves_from(session, new, now=now),
                created_at=now,
            )
            session.add(row)
            payload = {"role": new.role, "kind": new.kind}
            audit.record(session, _entry("person.added", row, by, payload), at=now)
            return row
    except IntegrityError:
        raise EmailTaken(
            f"There is an account with the address {email} already; use another "
            "address, or give that account a new password."
        ) from None


async def waive_first_day(store: Store, person: str, *, by: str) -> None:
    """Let somebody decide at once: for demo and test people, never over HTTP."""
    async with store.write() as session:
        row = await get(session, person)
        if row.approves_from is None:
            return
        row.approves_from = None
        now = await store.now(session)
        audit.record(session, _entry("person.first_day_waived", row, by), at=now)


async def set_password(
    store: Store, person: str, *, password_hash: str, by: str
) -> None:
    """Set a password and end every session that began with the old one."""
    async with store.write() as session:
        row = await get(session, person)
        row.password_hash = password_hash
        await _end_sessions(session, person)
        now = await store.now(session)
        audit.record(session, _entry("person.password_set", row, by), at=now)


async def disable(store: Store, person: str, *, by: str) -> None:
    """Close an account: its sessions end and its tokens open nothing any more."""
    async with store.write() as session:
        row = await get(session, person)
        if row.disabled_at is not None:
            return
        now = row.disabled_at = await store.now(session)
        await _end_sessions(session, person)
        revoke = (
            update(TokenRow)
            .where(col(TokenRow.person) == person, col(TokenRow.revoked_at).is_(None))
            .values(revoked_at=now)
        )
        await session.execute(revoke)
        audit.record(session, _entry("person.disabled", row, by), at=now)


async def get(session: AsyncSession, person: str) -> PersonRow:
    """Return the account, or raise `NotFound`."""
    row = await session.get(PersonRow, person)
    if row is None:
        raise NotFound(kind="person", name=person)
    return row


async def by_email(session: AsyncSession, email: str) -> PersonRow | None:
    """Return the account of an address, or None."""
    query = select(PersonRow).where(col(PersonRow.email) == _normal(email))
    return (await session.execute(query)).scalar_one_or_none()


async def listing(session: AsyncSession) -> list[PersonRow]:
    """Return every account, by name."""
    query = select(PersonRow).order_by(col(PersonRow.name), col(PersonRow.id))
    return list((await session.execute(query)).scalars())


async def names(session: AsyncSession, ids: set[str]) -> dict[str, str]:
    """Return the names of these people; ids that are nobody's are left out."""
    query = select(PersonRow.id, PersonRow.name).where(col(PersonRow.id).in_(ids))
    rows = (await session.execute(query)).all()
    return {row.id: row.name for row in rows}


async def _approves_from(
    session: AsyncSession, new: NewPerson, *, now: datetime
) -> datetime | None:
    if new.kind != "person" or new.role not in APPROVER_RANK:
        return None
    query = select(PersonRow.id).where(
        col(PersonRow.kind) == "person",
        col(PersonRow.role).in_(APPROVER_RANK),
        col(PersonRow.disabled_at).is_(None),
    )
    is_first = (await session.execute(query.limit(1))).first() is None
    return None if is_first else now + NEW_FOR


async def _end_sessions(session: AsyncSession, person: str) -> None:
    query = select(SessionRow).where(col(SessionRow.person) == person)
    for row in (await session.execute(query)).scalars():
        await session.delete(row)


def _normal(email: str) -> str:
    return email.strip().lower()


def _entry(
    kind: str, row: PersonRow, by: str, payload: dict[str, str] | None = None
) -> audit.Entry:
    return audit.Entry(
        actor=by,
        kind=kind,
        tenant=row.tenant,
        subject=row.id,
        payload={"name": row.name, **(payload or {})},
    )
