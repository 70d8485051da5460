"""Answers kept under a caller's own key, so that a repeated request acts once."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from orchestrator.errors import KeyturnError
from orchestrator.store.engine import Store
from orchestrator.store.tables import IdempotencyRow

# A request takes seconds; what is unanswered for longer died with its process.
ABANDONED = timedelta(minutes=1)


class KeyReused(KeyturnError):
    """An Idempotency-Key came again with another request."""


class KeyInUse(KeyturnError):
    """The first request with this Idempotency-Key is still being answered."""


@dataclass(frozen=True)
class Kept:
    """The answer that the first request got."""

    status: int
    body: str


async def claim(store: Store, *, person: str, key: str, request: str) -> Kept | None:
    """Return the first answer, or None where this request is the first.

    `request` is a digest of all that was asked. Raises `KeyReused` or `KeyInUse`.
    """
    try:
        async with store.write() as session:
            return await _claim(session, store, person, key, request)
    except IntegrityError:
        # Both asked at once; the other one inserted first.
        raise _in_use(key) from None


async def answer(store: Store, *, person: str, key: str) -> Kept | None:
    """Return the first request's answer, or None where it has none yet."""
    async with store.read() as session:
        row = await session.get(IdempotencyRow, (person, key))
    if row is None or row.status is None:
        return None
    return Kept(status=row.status, body=row.body or "")


async def keep(store: Store, *, person: str, key: str, answer: Kept) -> None:
    """Keep the answer for whoever repeats the request."""
    async with store.write() as session:
        row = await session.get(IdempotencyRow, (person, key))
        if row is not None:
            row.status, row.body = answer.status, answer.body


async def drop(store: Store, *, person: str, key: str) -> None:
    """Free the key: the request changed nothing and may be tried again."""
    async with store.write() as session:
        row = await session.get(IdempotencyRow, (person, key))
        if row is not None and row.status is None:
            await session.delete(row)


async def _claim(
    session: AsyncSession, store: Store, person: str, key: str, request: str
) -> Kept | None:
    row = await session.get(IdempotencyRow, (person, key), with_for_update=True)
    now = await store.now(session)
    if row is None:
        session.add(
            IdempotencyRow(person=person, key=key, request=request, created_at=now)
        )
        return None
    if row.request != request:
        raise KeyReused(
            f"The Idempotency-Key {key!r} was used for another request; use a new key."
        )
    if row.status is not None:
        return Kept(status=row.status, body=row.body or "")
    if now - row.created_at < ABANDONED:
        raise _in_use(key)
    row.created_at = now
    return None


def _in_use(key: str) -> KeyInUse:
    return KeyInUse(
        f"The first request with the Idempotency-Key {key!r} is still being answered; "
        "repeat it in a moment."
    )
