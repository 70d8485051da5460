"""Incidents: what a person has to look into, until one says why it may be closed."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, select

from orchestrator import plain_text, scrub
from orchestrator.errors import KeyturnError, NotFound
from orchestrator.store import audit, runs
from orchestrator.store.engine import Store
from orchestrator.store.tables import IncidentRow

Severity = Literal["low", "high", "critical"]
State = Literal["open", "closed"]

LONGEST_TITLE = 300


class NewIncident(BaseModel):
    """What happened; `source` names it, so that it is opened once and for ever once.

    `detail` holds figures, references and words for people.
    """

    model_config = ConfigDict(frozen=True)

    severity: Severity
    title: str
    source: str
    detail: dict[str, JsonValue] = {}
    tenant: str | None = None


class IncidentClosed(KeyturnError):
    """The incident was closed before."""


async def open_once(
    store: Store, new: NewIncident, *, by: str
) -> tuple[IncidentRow, bool]:
    """Return the incident of this source and whether it is new.

    One that was closed stays closed: what is known is not opened again each day.
    """
    try:
        async with store.write() as session:
            found = await of_source(session, new.source)
            if found is not None:
                return found, False
            return await add(session, store, new, by=by), True
    except IntegrityError:
        # Another process opened the same one first.
        async with store.read() as session:
            found = await of_source(session, new.source)
        if found is None:
            raise
        return found, False


async def add(
    session: AsyncSession, store: Store, new: NewIncident, *, by: str
) -> IncidentRow:
    """Open an incident in this transaction; its source must be new.

    Raises `InvalidValue` for words that are no text.
    """
    plain_text.refuse_control_characters({"title": new.title, **new.detail})
    now = await store.now(session)
    row = IncidentRow(
        **new.model_dump(exclude={"title"}),
        id=runs.new_id("in", now=now.timestamp()),
        title=scrub.text(new.title)[:LONGEST_TITLE],
        opened_by=by,
        created_at=now,
    )
    session.add(row)
    audit.record(
        session,
        audit.Entry(
            actor=by,
            kind="incident.opened",
            tenant=row.tenant,
            subject=row.id,
            payload={"severity": row.severity, "source": row.source},
        ),
        at=now,
    )
    return row


async def close(
    store: Store, incident: str, *, by: str, reason: str, tenant: str | None
) -> IncidentRow:
    """Close an incident; raises `IncidentClosed` where somebody has."""
    plain_text.check({"text": reason})
    async with store.write() as session:
        row = await get(session, incident, tenant=tenant)
        await session.refresh(row, with_for_update=True)
        if row.status != "open":
            raise IncidentClosed(
                f"Incident {incident} was closed by {row.closed_by}: "
                f"{row.close_reason} Nothing was changed."
            )
        now = await store.now(session)
        row.status, row.closed_at = "closed", now
        row.closed_by, row.close_reason = by, reason
        audit.record(
            session,
            audit.Entry(
                actor=by,
                kind="incident.closed",
                tenant=row.tenant,
                subject=row.id,
                payload={"reason": reason},
            ),
            at=now,
        )
        return row


async def get(
    session: AsyncSession, incident: str, *, tenant: str | None
) -> IncidentRow:
    """Return the incident, or raise `NotFound`, also for another tenant's."""
    row = await session.get(IncidentRow, incident)
    if row is None or tenant not in (None, row.tenant):
        raise NotFound(kind="incident", name=incident)
    return row


async def listing(
    session: AsyncSession,
    status: State | None,
    *,
    tenant: str | None,
    limit: int,
    before: str | None = None,
) -> list[IncidentRow]:
    """Return incidents, newest first; `before` is the last id of the page before."""
    query = select(IncidentRow).order_by(col(IncidentRow.id).desc()).limit(limit)
    if status is not None:
        query = query.where(col(IncidentRow.status) == status)
    if tenant is not None:
        query = query.where(col(IncidentRow.tenant) == tenant)
    if before is not None:
        query = query.where(col(IncidentRow.id) < before)
    return list((await session.execute(query)).scalars())


async def open_count(session: AsyncSession, *, tenant: str | None) -> int:
    """Return how many are open."""
    query = (
        select(func.count())
        .select_from(IncidentRow)
        .where(col(IncidentRow.status) == "open")
    )
    if tenant is not None:
        query = query.where(col(IncidentRow.tenant) == tenant)
    return (await session.execute(query)).scalar_one()


async def is_any_open(session: AsyncSession, source_begins: str) -> bool:
    """Tell whether an incident of such a source is open."""
    query = (
        select(IncidentRow.id)
        .where(
            col(IncidentRow.status) == "open",
            col(IncidentRow.source).startswith(source_begins, autoescape=True),
        )
        .limit(1)
    )
    return (await session.execute(query)).first() is not None


async def of_source(session: AsyncSession, source: str) -> IncidentRow | None:
    """Return the incident of a source, open or closed, or None."""
    query = select(IncidentRow).where(col(IncidentRow.source) == source)
    return (await session.execute(query)).scalar_one_or_none()
