"""Sign-in attempts, counted in the record: every web process counts the same.

There are two ways: `take` refuses excess attempts, `queue` only slows them down.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import col, delete, select

from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.people.errors import TooManyAttempts
from keyturn.orchestrator.store.tables import SignInAttemptRow

WINDOW = timedelta(minutes=5)
# Nobody waits for longer; a person who would have to is asked to come again.
LONGEST_WAIT = timedelta(seconds=10)


@dataclass(frozen=True)
class Pace:
    """How attempts under one key are slowed, by their number in the window.

    The first `free` go at once; each one after them waits for the next of `gaps_s`, the
    last one repeatedly. With `in_turn` that is the time since the attempt before was
    checked, so that they come one after another, however many are sent at once; else
    the time since it arrived, in parallel with others.
    """

    free: int
    gaps_s: tuple[int, ...]
    in_turn: bool

    def start(self, earlier: list[datetime], *, now: datetime) -> datetime:
        """Return when the next attempt may be checked; `earlier` is in order."""
        late = len(earlier) - self.free
        if late < 0:
            return now
        gap = timedelta(seconds=self.gaps_s[min(late, len(self.gaps_s) - 1)])
        return max(now, earlier[-1] + gap) if self.in_turn else now + gap


@dataclass(frozen=True)
class Turn:
    """A counted attempt: its rows, for `forgive`, and how long it waits."""

    taken: list[int]
    wait_s: float


async def queue(store: Store, paces: Mapping[str, Pace]) -> Turn:
    """Count one attempt under each of these keys; return when to check its password.

    The caller waits, and holds nothing of the database meanwhile. Raises
    `TooManyAttempts`, and then counts nothing, if that would take more than ten
    seconds: with `in_turn` only few wait at once, in all processes together.
    """
    async with store.write() as session:
        for key in sorted(paces):
            await session.take_turn(key)
        now = await session.read_clock()
        counted = await _recent(session, list(paces))
        start = max(paces[key].start(counted[key], now=now) for key in paces)
        if start > now + LONGEST_WAIT:
            left = (start - now - LONGEST_WAIT).total_seconds()
            raise TooManyAttempts(retry_after_s=max(1, math.ceil(left)))
        rows = [SignInAttemptRow(key=key, at=start) for key in paces]
        session.add_all(rows)
        for key, pace in paces.items():
            if len(counted[key]) == pace.free:
                _record_limit(session, key)
        await session.flush()
        taken = [row.id for row in rows if row.id is not None]
        return Turn(taken, (start - now).total_seconds())


async def take(store: Store, allowed: Mapping[str, int]) -> list[int]:
    """Count one attempt under each of these keys, before its password is checked.

    `allowed` says how many each key has within the window. Returns the attempt's rows,
    for `forgive`; raises `TooManyAttempts`, and then counts nothing. Counting first
    leaves no gap: a thousand guesses at once are counted one after the other.
    """
    async with store.write() as session:
        for key in sorted(allowed):
            await session.take_turn(key)
        now = await session.read_clock()
        counted = await _recent(session, list(allowed))
        _refuse_beyond(counted, allowed, now=now)
        rows = [SignInAttemptRow(key=key, at=now) for key in allowed]
        session.add_all(rows)
        for key, most in allowed.items():
            if len(counted[key]) + 1 == most:
                _record_limit(session, key)
        await session.flush()
        return [row.id for row in rows if row.id is not None]


async def forgive(store: Store, taken: list[int], key: str) -> None:
    """Remove a successful attempt, and all earlier ones under this key."""
    right = col(SignInAttemptRow.id).in_(taken) | (col(SignInAttemptRow.key) == key)
    async with store.write() as session:
        await session.execute(delete(SignInAttemptRow).where(right))


def key(kind: str, *parts: str) -> str:
    """Return a key that does not reveal what was typed: it may be a password."""
    hashed = hashlib.sha256("\n".join(parts).encode(errors="replace")).hexdigest()
    return f"{kind}:{hashed}"


async def _recent(session: Tx, keys: list[str]) -> dict[str, list[datetime]]:
    since = session.now - WINDOW
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


def _record_limit(session: Tx, key: str) -> None:
    """Record a limit when it is reached; each attempt after it would fill the log."""
    entry = log.Entry(actor="system", kind="sign_in.limited", subject=key)
    log.record(session, entry, at=session.now)
