"""Entries of the audit log, recorded in the transaction that they describe."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, JsonValue
from sqlalchemy import tuple_
from sqlmodel import col, func, select

from keyturn.orchestrator.rules import notice
from keyturn.orchestrator.rules.text import canonical, scrub
from keyturn.orchestrator.store.db import audit_entries
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import AuditRow


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


def record(session: Tx, entry: Entry, *, at: datetime) -> None:
    """Add one row to this transaction, right before it commits."""
    audit_entries.collect(
        session,
        AuditRow(
            at=at,
            actor=entry.actor,
            kind=entry.kind,
            tenant=entry.tenant,
            run=entry.run,
            subject=entry.subject,
            # People's reasons and services' words: neither may bring in a secret.
            payload=canonical.text(scrub.value(entry.payload)),
            to_notice=entry.kind in (*notice.KINDS, *notice.ACCOUNT_KINDS),
        ),
    )


async def of_run(
    session: Tx,
    run: str,
    *,
    since: datetime,
    after: AuditRow | None = None,
    limit: int | None = None,
) -> list[AuditRow]:
    """Return what has happened to a run since then, in order of time.

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


async def latest_of_run(session: Tx, run: str) -> datetime | None:
    """Return the time of the last event of a run, or None if there is none."""
    query = select(func.max(col(AuditRow.at))).where(col(AuditRow.run) == run)
    return (await session.execute(query)).scalar_one()
