"""The audit log: rows commit unchained, a sealer chains them by hash."""

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict, JsonValue
from sqlalchemy import tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, select

from orchestrator import canonical, notice, scrub
from orchestrator.store.engine import AUDITED, Store
from orchestrator.store.tables import AuditRow

GENESIS = "0" * 64
BATCH = 500
SEALER = "audit-sealer"


class Entry(BaseModel):
    """What happened: who did it, its kind, and the references to trace it by.

    `actor` is a person's id, `run:ID` or `system`; `payload` holds references and
    figures, never a prompt's text.
    """

    model_config = ConfigDict(frozen=True)

    actor: str
    kind: str
    tenant: str | None = None
    run: str | None = None
    subject: str | None = None
    payload: dict[str, JsonValue] = {}


class Finding(BaseModel):
    """What `verify` saw: rows chained, rows not yet sealed, and the first break."""

    model_config = ConfigDict(frozen=True)

    sealed: int
    unsealed: int
    head: str
    broken_at: int | None = None
    why: str | None = None


def record(session: AsyncSession, entry: Entry, *, at: datetime) -> None:
    """Add one row to this transaction."""
    session.info[AUDITED] = True
    session.add(
        AuditRow(
            at=at,
            actor=entry.actor,
            kind=entry.kind,
            tenant=entry.tenant,
            run=entry.run,
            subject=entry.subject,
            # Reasons of people and words of services: neither may bring a secret in.
            payload=canonical.text(scrub.value(entry.payload)),
            to_notice=entry.kind in notice.KINDS,
        )
    )


async def seal(store: Store) -> int:
    """Chain what is committed and not yet chained; return how many rows.

    At most 500 of them. Any process may: one at a time does, the others wait for it.
    """
    async with store.read() as session:
        if not await _unsealed(session, most=1):
            return 0
    async with store.write() as session:
        await store.take_turn(session, SEALER)
        position, previous = await _head(session)
        rows = await _unsealed(session)
        for row in rows:
            position += 1
            row.position, row.previous = position, previous
            row.hash = previous = _hash(row)
        return len(rows)


@dataclass
class _Walk:
    """How far a walk of the chain has come, and what it has seen there."""

    checkpoint: str | None
    position: int = 0
    head: str = GENESIS
    has_seen: bool = False
    why: str | None = None

    def __post_init__(self) -> None:
        self.has_seen = self.checkpoint in (None, GENESIS)

    def over(self, rows: list[AuditRow]) -> None:
        """Go over the next rows, up to the first break."""
        for row in rows:
            self.position += 1
            self.why = _break(row, position=self.position, previous=self.head)
            if self.why:
                return
            self.head = row.hash or ""
            self.has_seen = self.has_seen or self.head == self.checkpoint


async def verify(store: Store, *, checkpoint: str | None = None) -> Finding:
    """Walk the whole chain; `checkpoint` is a head hash published earlier.

    However long the log is, no transaction and no other task waits for it: each page is
    read by itself and hashed in a thread.
    """
    walk = _Walk(checkpoint)
    async with store.read() as session:
        unsealed = await _count_unsealed(session)
    while walk.why is None and (rows := await _next_page(store, walk.position)):
        await asyncio.to_thread(walk.over, rows)
    if walk.why is None and not walk.has_seen:
        walk.why = "the published checkpoint is not in the log"
    return Finding(
        sealed=walk.position,
        unsealed=unsealed,
        head=walk.head,
        broken_at=walk.position if walk.why else None,
        why=walk.why,
    )


class Filter(BaseModel):
    """Which rows to list; None means any."""

    model_config = ConfigDict(frozen=True)

    run: str | None = None
    tenant: str | None = None
    actor: str | None = None
    kind: str | None = None
    subject: str | None = None


async def listing(
    session: AsyncSession, wanted: Filter, *, limit: int, after: int = 0
) -> list[AuditRow]:
    """Return rows in the order of their ids; `after` is the last one of a page."""
    query = select(AuditRow).order_by(col(AuditRow.id)).limit(limit)
    query = query.where(col(AuditRow.id) > after)
    for name, value in wanted.model_dump(exclude_none=True).items():
        query = query.where(getattr(AuditRow, name) == value)
    return list((await session.execute(query)).scalars())


async def kinds(session: AsyncSession) -> list[str]:
    """Return the kinds that there are, a step of the index each."""
    first = select(func.min(col(AuditRow.kind)).label("kind")).cte(recursive=True)
    later = select(func.min(col(AuditRow.kind))).where(
        col(AuditRow.kind) > first.c.kind
    )
    walk = first.union_all(
        select(later.scalar_subquery()).where(first.c.kind.is_not(None))
    )
    query = select(walk.c.kind).where(walk.c.kind.is_not(None))
    return list((await session.execute(query)).scalars())


async def of_run(
    session: AsyncSession,
    run: str,
    *,
    since: datetime,
    after: AuditRow | None = None,
    limit: int | None = None,
) -> list[AuditRow]:
    """Return what happened to a run since then, in order of time.

    `after` is the last row of the page before.
    """
    query = (
        select(AuditRow)
        .where(col(AuditRow.run) == run, col(AuditRow.at) >= since)
        .order_by(col(AuditRow.at), col(AuditRow.id))
        .limit(limit)
    )
    if after is not None:
        place = tuple_(col(AuditRow.at), col(AuditRow.id))
        query = query.where(place > (after.at, after.id))
    return list((await session.execute(query)).scalars())


async def latest_of_run(session: AsyncSession, run: str) -> datetime | None:
    """Return when something last happened to a run; None where nothing has."""
    query = select(func.max(col(AuditRow.at))).where(col(AuditRow.run) == run)
    return (await session.execute(query)).scalar_one()


async def _head(session: AsyncSession) -> tuple[int, str]:
    query = (
        select(AuditRow)
        .where(col(AuditRow.position).is_not(None))
        .order_by(col(AuditRow.position).desc())
        .limit(1)
    )
    row = (await session.execute(query)).scalar_one_or_none()
    return (row.position or 0, row.hash or GENESIS) if row else (0, GENESIS)


async def _unsealed(session: AsyncSession, *, most: int = BATCH) -> list[AuditRow]:
    query = (
        select(AuditRow)
        .where(col(AuditRow.position).is_(None))
        .order_by(col(AuditRow.id))
        .limit(most)
    )
    return list((await session.execute(query)).scalars())


async def _count_unsealed(session: AsyncSession) -> int:
    query = (
        select(func.count())
        .select_from(AuditRow)
        .where(col(AuditRow.position).is_(None))
    )
    return (await session.execute(query)).scalar_one()


async def _next_page(store: Store, after: int) -> list[AuditRow]:
    query = (
        select(AuditRow)
        .where(col(AuditRow.position) > after)
        .order_by(col(AuditRow.position))
        .limit(BATCH)
    )
    async with store.read() as session:
        return list((await session.execute(query)).scalars())


def _break(row: AuditRow, *, position: int, previous: str) -> str | None:
    if row.position != position:
        return f"row {position} is missing; the next one is {row.position}"
    if row.previous != previous:
        return f"row {position} does not follow the row before it"
    if row.hash != _hash(row):
        return f"row {position} was changed after it was sealed"
    return None


def _hash(row: AuditRow) -> str:
    fields: list[JsonValue] = [
        row.id,
        row.at.isoformat(),
        row.actor,
        row.kind,
        row.tenant,
        row.run,
        row.subject,
        row.payload,
        row.position,
        row.previous,
    ]
    return hashlib.sha256(canonical.encode(fields)).hexdigest()
