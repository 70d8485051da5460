"""The hash chain over the audit log: how entries are hashed and read in its order."""

import hashlib
from collections.abc import Sequence

from pydantic import JsonValue
from sqlmodel import col, func, select

from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import AuditRow

GENESIS = "0" * 64
BATCH = 500
# Below every id that a database can hold, including ids that somebody else assigned.
BELOW_ALL = -(2**31)


async def head(session: Tx) -> AuditRow | None:
    """Return the entry that was sealed last."""
    found = await latest(session, most=1)
    return found[0] if found else None


async def latest(session: Tx, *, most: int) -> Sequence[AuditRow]:
    """Return the entries that were sealed last, newest first."""
    query = (
        select(AuditRow)
        .where(col(AuditRow.position).is_not(None))
        .order_by(col(AuditRow.position).desc())
        .limit(most)
    )
    return (await session.execute(query)).scalars().all()


async def at(session: Tx, position: int) -> AuditRow | None:
    """Return the entry at a position."""
    query = select(AuditRow).where(col(AuditRow.position) == position)
    return (await session.execute(query)).scalar_one_or_none()


async def sealed(session: Tx, *, after: int) -> Sequence[AuditRow]:
    """Return a page of sealed entries, by position."""
    query = (
        select(AuditRow)
        .where(col(AuditRow.position) > after)
        .order_by(col(AuditRow.position))
        .limit(BATCH)
    )
    return (await session.execute(query)).scalars().all()


async def unsealed(
    session: Tx, *, after: int = BELOW_ALL, most: int = BATCH
) -> Sequence[AuditRow]:
    """Return a page of entries that are not sealed yet, by id."""
    query = (
        select(AuditRow)
        .where(col(AuditRow.position).is_(None), col(AuditRow.id) > after)
        .order_by(col(AuditRow.id))
        .limit(most)
    )
    return (await session.execute(query)).scalars().all()


async def count_unsealed(session: Tx) -> int:
    """Return how many entries are not sealed yet."""
    query = (
        select(func.count())
        .select_from(AuditRow)
        .where(col(AuditRow.position).is_(None))
    )
    return (await session.execute(query)).scalar_one()


def id_of(row: AuditRow) -> int:
    """Return the id of an entry that the database has."""
    if row.id is None:
        raise ValueError("an entry that is not written has no id")
    return row.id


async def ids(session: Tx, *, after: int) -> list[int]:
    """Return a page of the ids of all entries, sealed or not."""
    query = (
        select(AuditRow.id)
        .where(col(AuditRow.id) > after)
        .order_by(col(AuditRow.id))
        .limit(BATCH)
    )
    found = (await session.execute(query)).scalars()
    return [entry for entry in found if entry is not None]


def why_broken(row: AuditRow, *, position: int, previous: str) -> str | None:
    """Return why a sealed entry does not follow the one before it, or None."""
    if row.position != position:
        return f"row {position} is missing; the next one is {row.position}"
    if row.previous != previous:
        return f"row {position} does not follow the row before it"
    if row.hash != hash_of(row):
        return f"row {position} was changed after it was sealed"
    return None


def extend(head: AuditRow | None, rows: Sequence[AuditRow]) -> None:
    """Give each entry its position after `head`, and the hash of the entry before."""
    position = (head.position or 0) if head else 0
    previous = (head.hash or GENESIS) if head else GENESIS
    for row in rows:
        position += 1
        row.position, row.previous = position, previous
        row.hash = previous = hash_of(row)


def hash_of(row: AuditRow) -> str:
    """Return the hash of an entry at its position, in hex."""
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
