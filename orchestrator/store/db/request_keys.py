"""Answers stored under a caller's own key, so that a repeated request acts once.

The first transaction that a request commits also writes into its key's row that the
request acted. If the process dies before the answer is stored, the request still never
acts again.

A request holds its key by a claim that it renews while it is being answered, so that
the key of a process that died is soon free. Each claim has an id of its own, which
every transaction of its request checks: a process that was suspended, and whose key
another process has claimed since, commits nothing more.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import ColumnElement
from sqlalchemy.exc import IntegrityError
from sqlmodel import and_, col, delete, or_, select, update

from keyturn.orchestrator.rules.errors import KeyturnError, StoreUnavailable
from keyturn.orchestrator.store.db.database import Store, apart, beside
from keyturn.orchestrator.store.db.errors import (
    SEND_AGAIN,
    AnswerLost,
    KeyInUse,
    KeyLost,
    KeyReused,
)
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import IdempotencyRow

# A claim that is not renewed for this long died with its process.
LEASE = timedelta(seconds=5)
RENEW_S = 1.5
AGAIN_S = 0.3
# How long a key and the result of a form are kept.
KEPT_FOR = timedelta(days=7)
# This many rows are deleted in one transaction.
AT_ONCE = 500


@dataclass(frozen=True)
class Claim:
    """The right to answer one request: its person, its key, and the id of the claim.

    The id is never reused: a key that is freed and claimed again has another id.
    """

    person: str
    key: str
    id: str


@dataclass
class Acting:
    """One request, from its claim to its answer."""

    has_acted: bool = False
    # Repeating it has the same result as doing it once.
    is_repeatable: bool = False
    _claims: list[Claim] = field(default_factory=list[Claim])
    _renewing: list["asyncio.Task[None]"] = field(
        default_factory=list["asyncio.Task[None]"]
    )

    def claimed(self, store: Store, claim: Claim, *, acts_once: bool = True) -> None:
        """Hold the key until the answer; write into its row that the request acted.

        Writes nothing for a request whose repetition has the same result.
        """
        # The claim itself does not count as acting.
        self.has_acted = False
        if acts_once:
            self._claims.append(claim)
        else:
            self.is_repeatable = True
        # Its commits do not belong to the request.
        task = asyncio.create_task(_renew(store, claim), context=apart())
        self._renewing.append(task)

    async def end(self) -> None:
        """Write and renew nothing more: later tasks do not belong to the request."""
        self._claims.clear()
        for task in self._renewing:
            task.cancel()
        await asyncio.gather(*self._renewing, return_exceptions=True)
        self._renewing.clear()

    async def add(self, session: Tx) -> None:
        """Write that the request acted into the transaction that is about to commit.

        Raises `KeyLost` if another process holds the key now.
        """
        if not self._claims:
            return
        now = await session.read_clock()
        for claim in self._claims:
            query = update(IdempotencyRow).where(_held_by(claim)).values(acted_at=now)
            written = await session.execute(query.returning(col(IdempotencyRow.key)))
            if written.first() is None:
                raise KeyLost(
                    "This request took so long that another process now answers a "
                    "repetition of it; this process changed nothing. Repeat the "
                    "request in a moment to get its result."
                )

    @property
    def may_be_repeated(self) -> bool:
        """Tell whether the request may be repeated: it is idempotent without a key."""
        return self.is_repeatable and not self._claims

    def committed(self) -> None:
        """Remember that the request changed something."""
        self.has_acted = True


async def _renew(store: Store, claim: Claim) -> None:
    pause_s = RENEW_S
    query = update(IdempotencyRow).where(
        _held_by(claim), col(IdempotencyRow.status).is_(None)
    )
    while True:
        await asyncio.sleep(pause_s)
        try:
            async with store.write() as session:
                until = await session.read_clock() + LEASE
                await session.execute(query.values(claimed_until=until))
        except StoreUnavailable:
            pause_s = AGAIN_S
        else:
            pause_s = RENEW_S


def comes_to_the_same() -> None:
    """Mark the present request as repeatable: its own id identifies what it does."""
    one = beside.get()
    if isinstance(one, Acting):
        one.is_repeatable = True


@asynccontextmanager
async def acting() -> AsyncGenerator[Acting]:
    """Make commits in this block record that the request acted, once its key is known.

    If the database is unreachable after that, `AnswerLost` is raised: nobody is told
    that nothing was changed. A repeatable request gets `StoreUnavailable` with other
    words.
    """
    one = Acting()
    token = beside.set(one)
    try:
        yield one
    except StoreUnavailable as error:
        if not one.has_acted:
            raise
        if one.may_be_repeated:
            raise StoreUnavailable(str(error), public_message=SEND_AGAIN) from error
        raise AnswerLost(
            "Your request was carried out, in whole or in part, before the database "
            "became unavailable. Check what was done, and send only what is "
            "still to do."
        ) from error
    finally:
        beside.reset(token)
        await one.end()


@dataclass(frozen=True)
class Kept:
    """The stored answer that the first request got."""

    status: int
    body: str


async def claim(store: Store, *, person: str, key: str, request: str) -> Kept | Claim:
    """Return the first answer, or the claim if this request is the first.

    `request` is a digest of the whole request. Raises `KeyReused`, `KeyInUse`, or
    `AnswerLost` if the first request acted and died.
    """
    try:
        async with store.write() as session:
            return await _claim(session, person, key, request)
    except IntegrityError:
        # Two requests came at once; the other one inserted first.
        raise _in_use(key) from None


async def answer(store: Store, *, person: str, key: str) -> Kept | None:
    """Return the first request's answer, or None if it has none yet."""
    async with store.read() as session:
        row = await session.get(IdempotencyRow, (person, key))
    if row is None or row.status is None:
        return None
    return Kept(status=row.status, body=row.body or "")


async def save(store: Store, claim: Claim, *, answer: Kept) -> None:
    """Store the answer for repetitions of the request."""
    kept = {"status": answer.status, "body": answer.body}
    async with store.write() as session:
        await session.execute(
            update(IdempotencyRow).where(_held_by(claim)).values(**kept)
        )


async def forget(store: Store) -> int:
    """Delete a batch of answers whose time is over; return how many rows."""
    async with store.write() as session:
        now = await session.read_clock()
        query = (
            select(IdempotencyRow.person, IdempotencyRow.key)
            .where(col(IdempotencyRow.created_at) < now - KEPT_FOR)
            .order_by(col(IdempotencyRow.created_at))
            .limit(AT_ONCE)
            # Several processes delete at once, and none waits for another.
            .with_for_update(skip_locked=True)
        )
        old = list((await session.execute(query)).all())
        if not old:
            return 0
        named = [and_(col(IdempotencyRow.person) == who, _is(key)) for who, key in old]
        await session.execute(delete(IdempotencyRow).where(or_(*named)))
    return len(old)


async def drop(store: Store, claim: Claim, *, because: Exception | None = None) -> None:
    """Free the key of a request that changed nothing: it may be tried again.

    A refusal says that itself, though it may have recorded the attempt; after any other
    fault the record knows whether something was committed.
    """
    query = select(IdempotencyRow).where(_held_by(claim)).with_for_update()
    async with store.write() as session:
        row = (await session.execute(query)).scalar_one_or_none()
        if row is None or row.status is not None:
            return
        if row.acted_at is None or _is_refusal(because):
            await session.delete(row)


def _is_refusal(because: Exception | None) -> bool:
    is_said = because is None or isinstance(because, KeyturnError)
    return is_said and not isinstance(because, StoreUnavailable | AnswerLost)


async def _claim(session: Tx, person: str, key: str, request: str) -> Kept | Claim:
    row = await session.get(IdempotencyRow, (person, key), with_for_update=True)
    now = await session.read_clock()
    if row is None:
        row = IdempotencyRow(
            person=person,
            key=key,
            request=request,
            claim=_new_id(),
            claimed_until=now + LEASE,
            created_at=now,
        )
        session.add(row)
        return Claim(person, key, row.claim)
    if row.request != request:
        raise KeyReused(
            f"The Idempotency-Key {key!r} was used for another request; use a new key."
        )
    if row.status is not None:
        return Kept(status=row.status, body=row.body or "")
    if row.claimed_until is not None and now < row.claimed_until:
        raise _in_use(key)
    if row.acted_at is not None:
        raise AnswerLost(
            "Your request was carried out the first time, at "
            f"{row.acted_at:%H:%M:%S} UTC on {row.acted_at:%Y-%m-%d}, and its response "
            "was lost. It is not carried out again. Check what was done, and "
            "send only what is still to do, under a new key."
        )
    row.claim = _new_id()
    row.claimed_until = now + LEASE
    return Claim(person, key, row.claim)


def _held_by(claim: Claim) -> ColumnElement[bool]:
    return and_(
        col(IdempotencyRow.person) == claim.person,
        _is(claim.key),
        col(IdempotencyRow.claim) == claim.id,
    )


def _new_id() -> str:
    return secrets.token_hex(8)


def _is(key: str) -> ColumnElement[bool]:
    return col(IdempotencyRow.key) == key


def _in_use(key: str) -> KeyInUse:
    return KeyInUse(
        f"The first request with the Idempotency-Key {key!r} is still being answered; "
        "repeat it in a moment."
    )
