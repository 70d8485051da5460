"""Incidents: what people have to look into, until one says why it may be closed."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel, ConfigDict, JsonValue
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, func, select

from keyturn.orchestrator.rules import ids
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.status import IncidentStatus, Severity
from keyturn.orchestrator.rules.text import plain_text, scrub
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.incidents.errors import IncidentClosed, MayNotClose
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    EffectRow,
    IncidentRow,
    PersonRow,
    RunRow,
)

LONGEST_TITLE = 300
# The roles that close incidents, as in `keyturn.approvals.auth.permissions`.
CLOSERS = ("operator", "admin")
SYSTEM = "system"


class NewIncident(BaseModel):
    """A new incident; `source` names its cause, so that it is opened only once, ever.

    `detail` holds figures, references and words for people.
    """

    model_config = ConfigDict(frozen=True)

    severity: Severity
    title: str
    source: str
    detail: dict[str, JsonValue] = {}
    tenant: str | None = None
    # The accounts it concerns; those who had its effect done are added to them.
    named: tuple[str, ...] = ()


async def open_once(
    store: Store, new: NewIncident, *, by: str
) -> tuple[IncidentRow, bool]:
    """Return the incident of this source and whether it is new.

    A closed incident stays closed: a known cause is not opened again each day.
    """
    try:
        async with store.write() as session:
            found = await of_source(session, new.source)
            if found is not None:
                return found, False
            return await add(session, new, by=by), True
    except IntegrityError:
        # Another process opened the same incident first.
        async with store.read() as session:
            found = await of_source(session, new.source)
        if found is None:
            raise
        return found, False


async def open_again(session: Tx, new: NewIncident, *, by: str) -> None:
    """Open an incident in a transaction, unless one of its source is open.

    If the cause was closed and happens again, this opens another incident: the earlier
    investigation says nothing about now.
    """
    found = await of_source(session, new.source)
    if found is not None and found.status == "open":
        return
    if found is not None:
        again = f"{new.source} again "
        if await is_any_open(session, again):
            return
        now = await session.read_clock()
        new = new.model_copy(update={"source": f"{again}{now.isoformat()}"})
    await add(session, new, by=by)


async def add(session: Tx, new: NewIncident, *, by: str) -> IncidentRow:
    """Open an incident in this transaction; its source must be new.

    Raises `InvalidValue` for words that are not valid text.
    """
    plain_text.refuse_control_characters({"title": new.title, **new.detail})
    now = await session.read_clock()
    row = IncidentRow(
        **new.model_dump(exclude={"title", "named"}),
        named=sorted({*new.named, *await _who_had_it_done(session, new.detail)}),
        id=ids.new_id("in", now=now.timestamp()),
        title=scrub.text(new.title)[:LONGEST_TITLE],
        opened_by=by,
        created_at=now,
    )
    session.add(row)
    log.record(
        session,
        log.Entry(
            actor=by,
            kind="incident.opened",
            tenant=row.tenant,
            subject=row.id,
            payload={
                "severity": row.severity,
                "source": row.source,
                "named": list(row.named),
            },
        ),
        at=now,
    )
    return row


async def close(
    store: Store, incident: str, *, by: str, reason: str, tenant: str | None
) -> IncidentRow:
    """Close an incident; raises `IncidentClosed` if it is closed already.

    Raises `MayNotClose` if it is critical, for the person who opened it or is named in
    it, and for services and accounts younger than a day.
    """
    plain_text.check({"text": reason})
    async with store.write() as session:
        row = await get(session, incident, tenant=tenant)
        await session.refresh(row, with_for_update=True)
        if row.status != "open":
            raise IncidentClosed(
                f"Incident {incident} was closed by {row.closed_by}: "
                f"{row.close_reason} Nothing was changed."
            )
        now = await session.read_clock()
        why = await why_not_close(session, row, by)
        if why is not None:
            raise MayNotClose(why)
        row.status, row.closed_at = "closed", now
        row.closed_by, row.close_reason = by, reason
        log.record(
            session,
            log.Entry(
                actor=by,
                kind="incident.closed",
                tenant=row.tenant,
                subject=row.id,
                payload={"reason": reason},
            ),
            at=now,
        )
        return row


async def why_not_close(session: Tx, row: IncidentRow, person: str) -> str | None:
    """Return why this person may not close an incident, or None if they may."""
    if row.severity != "critical":
        return None
    # A person who later reports that the effect failed is not named in it yet.
    about = {*row.named, *await _who_had_it_done(session, row.detail)}
    why = _why_theirs(row, about, person)
    if why is None:
        account = await session.get(PersonRow, person, with_for_update={"read": True})
        why = _why_unfit(account, now=session.now)
    if why is None:
        return None
    return f"{why} {await _who_may(session, row, about)}"


def _why_theirs(row: IncidentRow, about: set[str], person: str) -> str | None:
    if person == row.opened_by:
        return "You opened this critical incident, so another person has to close it."
    if person in about:
        return "This critical incident is about you, so another person has to close it."
    return None


def _why_unfit(account: PersonRow | None, *, now: datetime) -> str | None:
    if account is None or account.kind != "person" or account.disabled_at is not None:
        return "Only a person with an open account can close a critical incident."
    if account.approves_from is not None and account.approves_from > now:
        return (
            "A new person cannot close a critical incident for a day: you can from "
            f"{account.approves_from:%Y-%m-%d %H:%M %Z}."
        )
    return None


async def _who_may(session: Tx, row: IncidentRow, about: set[str]) -> str:
    """Return who else can close a critical incident, or how to get such a person."""
    query = select(PersonRow).where(
        col(PersonRow.kind) == "person",
        col(PersonRow.role).in_(CLOSERS),
        col(PersonRow.disabled_at).is_(None),
        col(PersonRow.id).not_in([row.opened_by, *about]),
    )
    fit = [
        one.name
        for one in (
            await session.execute(query.order_by(col(PersonRow.name)))
        ).scalars()
        if one.tenant in (None, row.tenant) and _why_unfit(one, now=session.now) is None
    ]
    if fit:
        return f"Ask {', '.join(fit[:5])}."
    return (
        "Nobody else may close it yet, so it stays open. Open an account for a second "
        "person with `keyturn user add EMAIL --name NAME --role operator` on the server "
        "host; that person can close it after a day."
    )


async def _who_had_it_done(session: Tx, detail: Mapping[str, JsonValue]) -> set[str]:
    """Return the people who had an incident's effect done, or reported on it.

    These approved or edited it, began its run, recorded it, or reported that it failed.
    """
    key = detail.get("effect")
    effect = await session.get(EffectRow, key) if isinstance(key, str) else None
    if effect is None:
        return set()
    run = await session.get(RunRow, effect.run)
    began = run.started_by if run is not None else None
    reported = (effect.later or {}).get("by")
    edited = await _editors(session, effect)
    found = {*effect.approvers, *edited, effect.recorded_by, began, reported}
    return {one for one in found if one and one != SYSTEM}


async def _editors(session: Tx, effect: EffectRow) -> list[str | None]:
    """Return the people who edited the request, in every revision of it."""
    query = select(ApprovalRow.edited_by).where(
        col(ApprovalRow.run) == effect.run,
        col(ApprovalRow.turn) == effect.turn,
        col(ApprovalRow.index) == effect.index,
    )
    return list((await session.execute(query)).scalars())


async def get(session: Tx, incident: str, *, tenant: str | None) -> IncidentRow:
    """Return the incident, or raise `NotFound`, also for another tenant's."""
    row = await session.get(IncidentRow, incident)
    if row is None or tenant not in (None, row.tenant):
        raise NotFound(kind="incident", name=incident)
    return row


async def listing(
    session: Tx,
    status: IncidentStatus | None,
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


async def open_count(session: Tx, *, tenant: str | None) -> int:
    """Return how many incidents are open."""
    query = (
        select(func.count())
        .select_from(IncidentRow)
        .where(col(IncidentRow.status) == "open")
    )
    if tenant is not None:
        query = query.where(col(IncidentRow.tenant) == tenant)
    return (await session.execute(query)).scalar_one()


async def is_any_open(session: Tx, source_begins: str) -> bool:
    """Tell whether an incident is open with a source that begins like this."""
    query = (
        select(IncidentRow.id)
        .where(
            col(IncidentRow.status) == "open",
            col(IncidentRow.source).startswith(source_begins, autoescape=True),
        )
        .limit(1)
    )
    return (await session.execute(query)).first() is not None


async def of_source(session: Tx, source: str) -> IncidentRow | None:
    """Return the incident of a source, open or closed, or None."""
    query = select(IncidentRow).where(col(IncidentRow.source) == source)
    return (await session.execute(query)).scalar_one_or_none()
