"""Attempts to sign in, counted in the record: every web process counts the same."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, delete, select

from orchestrator.errors import KeyturnError
from orchestrator.store import audit
from orchestrator.store.engine import Store
from orchestrator.store.tables import SignInAttemptRow

WINDOW = timedelta(minutes=5)


class TooManyAttempts(KeyturnError):
    """Too many wrong passwords; wait before the next."""

    def __init__(self, *, retry_after_s: int) -> None:
        """Say how long to wait."""
        self.retry_after_s = retry_after_s
        super().__init__(
            f"Too many wrong passwords. Try again in {retry_after_s} seconds."
        )


async def take(store: Store, allowed: Mapping[str, int]) -> list[int]:
    """Count one attempt under each of these keys, before its password is looked at.

    `allowed` says how many each key has within the window. Returns the attempt's rows,
    for `forgive`; raises `TooManyAttempts`, and then counts nothing. Counting first
    leaves no gap: a thousand guesses at once are counted one after the other.
    """
    async with store.write() as session:
        for key in sorted(allowed):
            await store.take_turn(session, key)
        now = await store.now(session)
        counted = await _recent(session, list(allowed), now=now)
        _refuse_beyond(counted, allowed, now=now)
        rows = [SignInAttemptRow(key=key, at=now) for key in allowed]
        session.add_all(rows)
        for key, most in allowed.items():
            if len(counted[key]) + 1 == most:
                _record_limit(session, key, at=now)
        await session.flush()
        return [row.id for row in rows if row.id is not None]


async def forgive(store: Store, taken: list[int], key: str) -> None:
    """Take back an attempt that was right, and all earlier ones under this key."""
    right = col(SignInAttemptRow.id).in_(taken) | (col(SignInAttemptRow.key) == key)
    async with store.write() as session:
        await session.execute(delete(SignInAttemptRow).where(right))


def key(kind: str, *parts: str) -> str:
    """Return a key that does not tell what was typed: it may be a password."""
    hashed = hashlib.sha256("\n".join(parts).encode(errors="replace")).hexdigest()
    return f"{kind}:{hashed}"


async def _recent(
    session: AsyncSession, keys: list[str], *, now: datetime
) -> dict[str, list[datetime]]:
    since = now - WINDOW
    await session.execute(
        delete(SignInAttemptRow).where(col(SignInAttemptRow.at) <= since)
    )
    query = (
        select(SignInAttemptRow)
        .where(col(SignInAttemptRow.key).in_(keys))
        .order_by(col(SignInAttemptRow.at))
    )
    found: dict[str, list[datetime]] = {key: [] for key in keys}
    for row in (await session.execute(query)).scalars():
        found[row.key].append(row.at)
    return found


def _refuse_beyond(
    counted: Mapping[str, list[datetime]], allowed: Mapping[str, int], *, now: datetime
) -> None:
    waits = [
        times[-most] + WINDOW - now
        for key, most in allowed.items()
        if len(times := counted[key]) >= most
    ]
    if waits:
        raise TooManyAttempts(retry_after_s=max(1, int(max(waits).total_seconds())))


def _record_limit(session: AsyncSession, key: str, *, at: datetime) -> None:
    """Record a limit when it is reached; refusals after it would only fill the log."""
    entry = audit.Entry(actor="system", kind="sign_in.limited", subject=key)
    audit.record(session, entry, at=at)
