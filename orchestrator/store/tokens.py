"""API tokens, known by their hash; each acts as its owner."""

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from orchestrator.errors import NotFound
from orchestrator.store import audit, people
from orchestrator.store.engine import Store
from orchestrator.store.runs import new_id
from orchestrator.store.tables import PersonRow, TokenRow

PREFIX = "kt_"


async def create(
    store: Store,
    person: str,
    *,
    name: str,
    by: str,
    ends_in: timedelta | None = None,
) -> str:
    """Return a new token of this person's: shown once, kept as a hash."""
    plain = PREFIX + secrets.token_urlsafe(32)
    async with store.write() as session:
        owner = await people.get(session, person)
        now = await store.now(session)
        row = TokenRow(
            id=new_id("token"),
            person=owner.id,
            name=name,
            hash=_hash(plain),
            created_at=now,
            ends_at=now + ends_in if ends_in else None,
        )
        session.add(row)
        audit.record(session, _entry("token.created", row, by), at=now)
    return plain


async def find(store: Store, plain: str) -> tuple[PersonRow, TokenRow] | None:
    """Return whose token this is, or None where it opens nothing (any more)."""
    if not plain.startswith(PREFIX):
        return None
    query = select(TokenRow).where(col(TokenRow.hash) == _hash(plain))
    async with store.read() as session:
        row = (await session.execute(query)).scalar_one_or_none()
        if row is None or row.revoked_at is not None:
            return None
        person = await session.get(PersonRow, row.person)
        if person is None or person.disabled_at is not None:
            return None
        if row.ends_at is not None and row.ends_at <= await store.now(session):
            return None
        return person, row


async def revoke(store: Store, token: str, *, by: str) -> datetime:
    """Close a token and return since when it is; raises `NotFound`."""
    async with store.write() as session:
        row = await session.get(TokenRow, token)
        if row is None:
            raise NotFound(kind="token", name=token)
        if row.revoked_at is None:
            row.revoked_at = await store.now(session)
            audit.record(session, _entry("token.revoked", row, by), at=row.revoked_at)
        return row.revoked_at


async def listing(session: AsyncSession, person: str) -> list[TokenRow]:
    """Return a person's tokens, newest first."""
    query = (
        select(TokenRow)
        .where(col(TokenRow.person) == person)
        .order_by(col(TokenRow.created_at).desc())
    )
    return list((await session.execute(query)).scalars())


def _hash(plain: str) -> str:
    return hashlib.sha256(plain.encode()).hexdigest()


def _entry(kind: str, row: TokenRow, by: str) -> audit.Entry:
    return audit.Entry(
        actor=by,
        kind=kind,
        subject=row.id,
        payload={"person": row.person, "name": row.name},
    )
