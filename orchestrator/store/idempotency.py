"""Answers kept under a caller's own key, so that a repeated request acts once.

The first transaction that a request commits writes that it acted into its key's row, so
that a process may die before the answer is kept: what acted never acts again.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import and_, col, delete, or_, select, update

from orchestrator.errors import KeyturnError, StoreUnavailable
from orchestrator.store.engine import Store, beside
from orchestrator.store.tables import IdempotencyRow

# A request takes seconds; what is unanswered for longer died with its process.
ABANDONED = timedelta(minutes=1)
# So long a key is remembered, and what a form came to is shown.
KEPT_FOR = timedelta(days=7)
# So many rows are forgotten in one transaction.
AT_ONCE = 500


class KeyReused(KeyturnError):
    """An Idempotency-Key came again with another request."""


class KeyInUse(KeyturnError):
    """The first request with this Idempotency-Key is still being answered."""


class AnswerLost(KeyturnError):
    """The first request with this key acted, and nobody knows its answer."""


@dataclass
class Acting:
    """One request, from its claim to its answer."""

    _claimed: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def claimed(self, *, person: str, key: str) -> None:
        """Write into this key's row that the request acted, once it does."""
        self._claimed.append((person, key))

    def end(self) -> None:
        """Write nothing more: what goes on beside the request is none of it."""
        self._claimed.clear()

    async def add(self, session: AsyncSession, now: datetime) -> None:
        """Write into the transaction which commits now that the request acted."""
        for person, key in self._claimed:
            row = and_(col(IdempotencyRow.person) == person, _is(key))
            await session.execute(
                update(IdempotencyRow).where(row).values(acted_at=now)
            )


@contextmanager
def acting() -> Generator[Acting]:
    """Let what is committed within say that its request acted, once its key is known."""
    one = Acting()
    token = beside.set(one.add)
    try:
        yield one
    finally:
        one.end()
        beside.reset(token)


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


async def forget(store: Store) -> int:
    """Delete what was kept for its time, a batch of it; return how many rows."""
    async with store.write() as session:
        now = await store.now(session)
        query = (
            select(IdempotencyRow.person, IdempotencyRow.key)
            .where(col(IdempotencyRow.created_at) < now - KEPT_FOR)
            .order_by(col(IdempotencyRow.created_at))
            .limit(AT_ONCE)
            # Several processes forget at once, and none waits for another.
            .with_for_update(skip_locked=True)
        )
        old = list((await session.execute(query)).all())
        if not old:
            return 0
        named = [and_(col(IdempotencyRow.person) == who, _is(key)) for who, key in old]
        await session.execute(delete(IdempotencyRow).where(or_(*named)))
    return len(old)


async def drop(
    store: Store, *, person: str, key: str, because: Exception | None = None
) -> None:
    """Free the key of a request that changed nothing: it may be tried again.

    A refusal says that itself, though it may have recorded that somebody tried; after
    any other fault the record knows whether something was committed.
    """
    async with store.write() as session:
        row = await session.get(IdempotencyRow, (person, key), with_for_update=True)
        if row is None or row.status is not None:
            return
        if row.acted_at is None or _is_refusal(because):
            await session.delete(row)


def _is_refusal(because: Exception | None) -> bool:
    is_said = because is None or isinstance(because, KeyturnError)
    return is_said and not isinstance(because, StoreUnavailable)


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
    if row.acted_at is not None:
        raise AnswerLost(
            "What you sent was carried out the first time, at "
            f"{row.acted_at:%H:%M:%S} UTC on {row.acted_at:%Y-%m-%d}, and its answer "
            "was lost. It is not carried out again: look at what became of it, and "
            "send anew, under a new key, only what is still to do."
        )
    row.created_at = now
    return None


def _is(key: str) -> ColumnElement[bool]:
    return col(IdempotencyRow.key) == key


def _in_use(key: str) -> KeyInUse:
    return KeyInUse(
        f"The first request with the Idempotency-Key {key!r} is still being answered; "
        "repeat it in a moment."
    )
