"""Matchings in the record: requested, run by one worker at a time; their findings."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import load_only
from sqlmodel import and_, col, or_, select

from keyturn.orchestrator.rules import ids
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.money.reconciliation import Entry
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import EffectRow, MatchingRow

SideState = Literal["not_configured", "matched", "away", "unusable"]

EVERY = timedelta(days=1)
# If the books could not be read, they are tried again this much later.
AGAIN = timedelta(minutes=15)
# How far back each matching looks; farther if none has succeeded since.
LOOK_BACK = timedelta(days=7)
# PostgreSQL and SQLite take some thousands of parameters.
AT_ONCE = 500
SYSTEM = "system"


class Seen(BaseModel):
    """A difference as a matching keeps it, with the incident that it opened."""

    model_config = ConfigDict(frozen=True)

    kind: str
    key: str
    words: str
    incident: str | None = None


class Side(BaseModel):
    """What came of one side: how much was read, and what differs.

    `differences` are the first of `differing`.
    """

    model_config = ConfigDict(frozen=True)

    state: SideState
    words: str = ""
    read: int = 0
    differing: int = 0
    differences: tuple[Seen, ...] = ()


async def ask(store: Store, *, by: str) -> MatchingRow:
    """Request a matching; returns one that already waits or runs instead."""
    async with store.write() as session:
        found = await _open(session)
        if found is not None:
            return found
        now = await session.read_clock()
        row = MatchingRow(
            id=ids.new_id("ma", now=now.timestamp()),
            status="asked",
            asked_by=by,
            asked_at=now,
        )
        session.add(row)
        log.record(
            session,
            log.Entry(actor=by, kind="matching.asked", subject=row.id),
            at=now,
        )
        return row


async def is_due(store: Store, *, daily: bool) -> bool:
    """Tell whether a matching is to be done: a requested one, or the daily one."""
    async with store.read() as session:
        if await _open(session) is not None:
            return True
        last = await _latest(session)
        if last is None or last.ended_at is None:
            return daily
        wait = EVERY if last.status == "matched" else AGAIN
        return daily and last.ended_at + wait <= await session.read_clock()


async def begin(store: Store) -> MatchingRow:
    """Return the matching to do now, marked as running, with its window.

    A matching during which its worker died is done again. Only the holder of the job's
    lease may call this.
    """
    async with store.write() as session:
        now = await session.read_clock()
        row = await _open(session)
        if row is None:
            row = MatchingRow(
                id=ids.new_id("ma", now=now.timestamp()),
                status="asked",
                asked_by=SYSTEM,
                asked_at=now,
            )
            session.add(row)
        row.status, row.until = "running", now
        good = await _last_good(session)
        start = min(now, good.until) if good is not None and good.until else now
        row.since = start - LOOK_BACK
        return row


async def end(store: Store, matching: str, statement: Side, mail: Side) -> MatchingRow:
    """Record the findings of a matching."""
    states = {statement.state, mail.state}
    is_good = "matched" in states and states <= {"matched", "not_configured"}
    async with store.write() as session:
        row = await get(session, matching)
        now = await session.read_clock()
        row.status, row.ended_at = ("matched" if is_good else "failed"), now
        row.statement = statement.model_dump(mode="json")
        row.mail = mail.model_dump(mode="json")
        log.record(
            session,
            log.Entry(
                actor=SYSTEM,
                kind=f"matching.{row.status}",
                subject=row.id,
                payload={
                    "read": statement.read + mail.read,
                    "differing": statement.differing + mail.differing,
                },
            ),
            at=now,
        )
        return row


async def failed_in_a_row(store: Store, *, most: int) -> int:
    """Return how many of the latest matchings failed, one after another."""
    query = (
        select(MatchingRow.status)
        .where(col(MatchingRow.ended_at).is_not(None))
        .order_by(col(MatchingRow.id).desc())
        .limit(most)
    )
    async with store.read() as session:
        states = list((await session.execute(query)).scalars())
    return next((n for n, one in enumerate(states) if one != "failed"), len(states))


async def get(session: Tx, matching: str) -> MatchingRow:
    """Return the matching, or raise `NotFound`."""
    row = await session.get(MatchingRow, matching)
    if row is None:
        raise NotFound(kind="matching", name=matching)
    return row


async def listing(
    session: Tx, *, limit: int, before: str | None = None
) -> list[MatchingRow]:
    """Return matchings, newest first; `before` is the last id of the page before."""
    query = select(MatchingRow).order_by(col(MatchingRow.id).desc()).limit(limit)
    if before is not None:
        query = query.where(col(MatchingRow.id) < before)
    return list((await session.execute(query)).scalars())


async def entries(
    store: Store, keys: Iterable[str], *, settled: datetime
) -> dict[str, Entry]:
    """Return the effects with these keys, by key; one ended by `settled` is settled."""
    wanted = list(dict.fromkeys(keys))
    found: dict[str, Entry] = {}
    for start in range(0, len(wanted), AT_ONCE):
        some = col(EffectRow.key).in_(wanted[start : start + AT_ONCE])
        for entry in await _entries(store, some, settled=settled):
            found[entry.key] = entry
    return found


async def moved_since(
    store: Store, since: datetime, *, settled: datetime
) -> list[Entry]:
    """Return effects that moved money since then, old enough to be in the books."""
    is_done = and_(
        col(EffectRow.status) == "done",
        col(EffectRow.amount).is_not(None),
        col(EffectRow.ended_at) >= since,
        col(EffectRow.ended_at) <= settled,
    )
    return await _entries(store, is_done, settled=settled)


async def sent_since(
    store: Store, since: datetime, *, settled: datetime
) -> list[Entry]:
    """Return every effect that may have sent something since then."""
    has_begun = or_(
        col(EffectRow.created_at) >= since, col(EffectRow.ended_at) >= since
    )
    return await _entries(store, has_begun, settled=settled)


async def _entries(
    store: Store,
    condition: Any,  # noqa: ANN401 an SQL condition
    *,
    settled: datetime,
) -> list[Entry]:
    # Not the whole rows: their texts may be long, and nothing here reads them.
    query = select(EffectRow).where(condition).options(load_only(*_READ))
    async with store.read() as session:
        rows = (await session.execute(query)).scalars()
        return [_entry(row, settled=settled) for row in rows]


_READ: Sequence[Any] = (
    EffectRow.key,
    EffectRow.run,
    EffectRow.tenant,
    EffectRow.tool,
    EffectRow.status,
    EffectRow.amount,
    EffectRow.currency,
    EffectRow.receipt,
    EffectRow.lease_until,
    EffectRow.sending_at,
    EffectRow.ended_at,
)


def _entry(row: EffectRow, *, settled: datetime) -> Entry:
    money = None
    if row.amount is not None and row.currency is not None:
        money = Money(row.amount, row.currency)
    mailed_as = (row.receipt or {}).get("message_id")
    return Entry(
        key=row.key,
        run=row.run,
        tenant=row.tenant,
        tool=row.tool,
        status=row.status,
        money=money,
        sent_at=row.sending_at,
        is_settled=(row.ended_at or row.lease_until) <= settled,
        mailed_as=mailed_as if isinstance(mailed_as, str) else None,
    )


async def _open(session: Tx) -> MatchingRow | None:
    query = (
        select(MatchingRow)
        .where(col(MatchingRow.status).in_(("asked", "running")))
        .order_by(col(MatchingRow.id))
        .limit(1)
    )
    return (await session.execute(query)).scalars().first()


async def _latest(session: Tx) -> MatchingRow | None:
    found: Sequence[MatchingRow] = await listing(session, limit=1)
    return found[0] if found else None


async def _last_good(session: Tx) -> MatchingRow | None:
    query = (
        select(MatchingRow)
        .where(col(MatchingRow.status) == "matched")
        .order_by(col(MatchingRow.id).desc())
        .limit(1)
    )
    return (await session.execute(query)).scalars().first()
