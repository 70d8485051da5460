"""Notices created from the audit log, once for each entry."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import cast

from pydantic import BaseModel, ConfigDict, JsonValue
from sqlmodel import col, select

from keyturn.orchestrator.rules.notice import (
    AccountKind,
    Channel,
    NoticeKind,
)
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import AuditRow, NoticeRow


class Event(BaseModel):
    """An event of the audit log that people or programs are told of."""

    model_config = ConfigDict(frozen=True)

    id: str
    kind: NoticeKind | AccountKind
    at: datetime
    actor: str
    tenant: str | None
    run: str | None
    subject: str | None
    payload: dict[str, JsonValue]


class NewNotice(BaseModel):
    """One event for one recipient: a person by mail, or a webhook."""

    model_config = ConfigDict(frozen=True)

    event: str
    kind: NoticeKind | AccountKind
    channel: Channel
    target: str
    tenant: str | None = None
    run: str | None = None
    approval: str | None = None
    payload: dict[str, JsonValue]


Plan = Callable[[Tx, Sequence[Event]], Awaitable[list[NewNotice]]]


async def fan_out(store: Store, plan: Plan, *, limit: int = 100) -> int:
    """Create the notices of new events, as `plan` says; return the number of events.

    Any process may do it; each event is handled by one.
    """
    waiting = select(AuditRow.id).where(col(AuditRow.to_notice)).limit(1)
    async with store.read() as session:
        if (await session.execute(waiting)).first() is None:
            return 0
    async with store.write() as session:
        rows = await _marked(session, limit)
        now = await session.read_clock()
        made = await plan(session, [_event(row) for row in rows])
        session.add_all(
            NoticeRow(**one.model_dump(), created_at=now, due_at=now) for one in made
        )
        for row in rows:
            row.to_notice = False
        return len(rows)


async def _marked(session: Tx, limit: int) -> list[AuditRow]:
    query = (
        select(AuditRow)
        .where(col(AuditRow.to_notice))
        .order_by(col(AuditRow.id))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list((await session.execute(query)).scalars())


def _event(row: AuditRow) -> Event:
    payload = canonical.parse(row.payload)
    return Event(
        id=str(row.id),
        kind=cast("NoticeKind | AccountKind", row.kind),
        at=row.at,
        actor=row.actor,
        tenant=row.tenant,
        run=row.run,
        subject=row.subject,
        payload=payload if isinstance(payload, dict) else {},
    )
