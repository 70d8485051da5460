"""Proposals: a loosening that one person asks for and another one confirms (P11).

What is proposed happens in the transaction of its confirmation, and is looked at again
there: a proposal about what has changed since is void.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from orchestrator.errors import KeyturnError, NotFound
from orchestrator.store import access, audit, incidents, people, switches
from orchestrator.store.access import Access, OwnAccess
from orchestrator.store.approvals import Person
from orchestrator.store.engine import Store
from orchestrator.store.incidents import NewIncident
from orchestrator.store.runs import new_id
from orchestrator.store.tables import PersonRow, ProposalRow

Kind = Literal["switch.clear", "person.access"]
State = Literal["open", "confirmed", "declined", "withdrawn", "void", "expired"]

# So long a proposal waits for its second person.
LASTS = timedelta(hours=24)


class ProposalClosed(KeyturnError):
    """The proposal waits for nobody any more."""

    def __init__(self, proposal: str, state: State, why: str) -> None:
        """Name the proposal, what became of it, and why."""
        self.proposal, self.state = proposal, state
        super().__init__(f"The proposal {proposal} is {state}: {why}")


class NeedsSecondPerson(KeyturnError):
    """This person cannot be the second one."""


async def to_clear(
    store: Store, switch: str, person: Person, *, reason: str
) -> ProposalRow:
    """Ask for a switch to be lifted; the same switch is asked for once at a time.

    Raises `NotFound` where it is not set.
    """
    async with store.write() as session:
        # Two who ask at once find one another's proposal.
        await store.take_turn(session, f"proposal {switch}")
        now = await store.now(session)
        found = await switches.set_now(session, switch, now=now)
        target = {"switch": switch, "set_at": found.created_at.isoformat()}
        return await _propose(
            session,
            "switch.clear",
            target,
            person,
            tenant=found.scope.get("tenant"),
            reason=reason,
            now=now,
        )


async def to_grant(
    store: Store,
    account: str,
    wanted: Access,
    person: Person,
    *,
    reason: str,
) -> ProposalRow:
    """Ask for an account to get more access than it has; nobody asks for their own.

    Raises `NotFound`, also for another tenant's account, or `OwnAccess`.
    """
    async with store.write() as session:
        await store.take_turn(session, f"proposal {account}")
        now = await store.now(session)
        row = await people.get(session, account, tenant=person.tenant)
        if row.id == person.id:
            raise OwnAccess("Nobody asks for more access for themselves; ask an admin.")
        before = access.of(row)
        target = {
            "person": account,
            "before": before.model_dump(),
            "wanted": wanted.model_dump(),
        }
        return await _propose(
            session,
            "person.access",
            target,
            person,
            # Who moves between tenants is a matter of the whole installation.
            tenant=row.tenant if wanted.tenant == row.tenant else None,
            reason=reason,
            now=now,
        )


async def confirm(
    store: Store, proposal: str, person: Person, *, roles: Collection[str]
) -> ProposalRow:
    """Do what was proposed; `roles` are those that may have proposed it.

    Raises `NotFound`, `NeedsSecondPerson`, or `ProposalClosed`, also where this finds that
    what was proposed fits no longer what is: then the proposal is void.
    """
    async with store.write() as session:
        row, now = await _lock_open(store, session, proposal, person)
        _check_second(row, person, now=now)
        why = await _unfit(session, row, roles) or await _do(
            store, session, row, person
        )
        _close(session, row, "void" if why else "confirmed", person, why, now=now)
    if why:
        raise ProposalClosed(proposal, "void", why)
    return row


async def decline(
    store: Store, proposal: str, person: Person, *, reason: str
) -> ProposalRow:
    """Say no to a proposal; raises as `confirm` does."""
    async with store.write() as session:
        row, now = await _lock_open(store, session, proposal, person)
        if person.id == row.proposed_by:
            raise NeedsSecondPerson("This proposal is yours: withdraw it.")
        _check_person(person)
        _close(session, row, "declined", person, reason, now=now)
        return row


async def withdraw(store: Store, proposal: str, person: Person) -> ProposalRow:
    """Take one's own proposal back; raises as `confirm` does."""
    async with store.write() as session:
        row, now = await _lock_open(store, session, proposal, person)
        if person.id != row.proposed_by:
            raise NeedsSecondPerson(
                f"{row.proposed_name} proposed this, and alone can withdraw it; "
                "decline it."
            )
        _close(session, row, "withdrawn", person, None, now=now)
        return row


async def lift_alone(store: Store, switch: str, *, by: str, reason: str) -> list[str]:
    """Lift a switch without a second person; return the runs that were rung.

    For whoever holds the database while nobody else can be reached. It opens an
    incident, which another person has to read and close.
    """
    async with store.write() as session:
        rung = await switches.lift(store, session, switch, by=by, reason=reason)
        detail: dict[str, JsonValue] = {"switch": switch, "by": by, "reason": reason}
        now = await store.now(session)
        found = NewIncident(
            severity="critical",
            title=f"{by} lifted the switch {switch} alone",
            source=f"switch {switch} lifted alone {now.isoformat()}",
            detail=detail,
        )
        await incidents.add(session, store, found, by=by)
        entry = audit.Entry(
            actor=by, kind="switch.cleared_alone", subject=switch, payload=detail
        )
        audit.record(session, entry, at=now)
        return rung


def state(row: ProposalRow, *, now: datetime) -> State:
    """Return what became of a proposal; one that nobody answered ends by itself."""
    if row.status == "open" and row.ends_at <= now:
        return "expired"
    return row.status  # pyright: ignore[reportReturnType] written by this module alone


async def get(
    session: AsyncSession, proposal: str, *, tenant: str | None
) -> ProposalRow:
    """Return a proposal, or raise `NotFound`, also for another tenant's."""
    row = await session.get(ProposalRow, proposal)
    if row is None or (tenant is not None and row.tenant != tenant):
        raise NotFound(kind="proposal", name=proposal)
    return row


async def listing(  # noqa: PLR0913 a filter and a page
    session: AsyncSession,
    *,
    tenant: str | None,
    is_open: bool,
    now: datetime,
    limit: int = 100,
    before: str | None = None,
) -> list[ProposalRow]:
    """Return proposals, newest first, with a tenant its own; `is_open`: what waits."""
    waits = (col(ProposalRow.status) == "open") & (col(ProposalRow.ends_at) > now)
    query = select(ProposalRow).order_by(col(ProposalRow.id).desc()).limit(limit)
    query = query.where(waits) if is_open else query
    if tenant is not None:
        query = query.where(col(ProposalRow.tenant) == tenant)
    if before is not None:
        query = query.where(col(ProposalRow.id) < before)
    return list((await session.execute(query)).scalars())


async def _propose(  # noqa: PLR0913 a proposal's own fields
    session: AsyncSession,
    kind: Kind,
    target: dict[str, Any],
    person: Person,
    *,
    tenant: str | None,
    reason: str,
    now: datetime,
) -> ProposalRow:
    """Return the open proposal of this, or make it."""
    _check_person(person)
    same = select(ProposalRow).where(
        col(ProposalRow.kind) == kind,
        col(ProposalRow.status) == "open",
        col(ProposalRow.ends_at) > now,
    )
    for known in (await session.execute(same)).scalars():
        if known.target == target:
            return known
    row = ProposalRow(
        id=new_id("proposal", now=now.timestamp()),
        kind=kind,
        target=target,
        tenant=tenant,
        reason=reason,
        proposed_by=person.id,
        proposed_name=person.name,
        created_at=now,
        ends_at=now + LASTS,
    )
    session.add(row)
    _record(session, "proposal.made", row, person, now=now)
    return row


async def _lock_open(
    store: Store, session: AsyncSession, proposal: str, person: Person
) -> tuple[ProposalRow, datetime]:
    """Return a proposal that waits, locked, and the time read after the lock."""
    row = await session.get(
        ProposalRow, proposal, with_for_update=True, populate_existing=True
    )
    if row is None or (person.tenant is not None and row.tenant != person.tenant):
        raise NotFound(kind="proposal", name=proposal)
    now = await store.now(session)
    found = state(row, now=now)
    if found == "expired":
        ended = (
            f"nobody confirmed it before {row.ends_at:%Y-%m-%d %H:%M %Z}; propose anew."
        )
        raise ProposalClosed(proposal, found, ended)
    if found != "open":
        raise ProposalClosed(
            proposal,
            found,
            f"{row.decided_name} was first. {row.outcome or ''}".strip(),
        )
    return row, now


def _check_second(row: ProposalRow, person: Person, *, now: datetime) -> None:
    _check_person(person)
    if person.id == row.proposed_by:
        raise NeedsSecondPerson(
            "You proposed this, and loosening takes two people: somebody else confirms "
            "it. Your tokens and sessions are all you."
        )
    if person.approves_from is not None and person.approves_from > now:
        raise NeedsSecondPerson(
            "Whoever is new here confirms nothing for a day: you may from "
            f"{person.approves_from:%Y-%m-%d %H:%M %Z}."
        )


def _check_person(person: Person) -> None:
    if person.kind != "person":
        raise NeedsSecondPerson(f"{person.name} is a service; services decide nothing.")


async def _unfit(
    session: AsyncSession, row: ProposalRow, roles: Collection[str]
) -> str | None:
    """Return why the one who proposed it could not propose it now, or None."""
    proposer = await session.get(
        PersonRow, row.proposed_by, with_for_update={"read": True}
    )
    if proposer is None or proposer.disabled_at is not None:
        return f"the account of {row.proposed_name}, who proposed it, is closed."
    if proposer.role not in roles or proposer.tenant not in (None, row.tenant):
        return f"{row.proposed_name}, who proposed it, may not do this any more."
    return None


async def _do(
    store: Store, session: AsyncSession, row: ProposalRow, person: Person
) -> str | None:
    """Do what was proposed; return why it could not be done, or None."""
    if row.kind == "switch.clear":
        return await _clear(store, session, row, person)
    return await _grant(store, session, row, person)


async def _clear(
    store: Store, session: AsyncSession, row: ProposalRow, person: Person
) -> str | None:
    switch = row.target["switch"]
    try:
        await switches.lift(
            store,
            session,
            switch,
            by=person.id,
            reason=f"{row.reason} (proposed by {row.proposed_name})",
            set_at=datetime.fromisoformat(row.target["set_at"]),
        )
    except NotFound:
        return f"the switch {switch!r} was lifted, has ended, or was set anew since."
    return None


async def _grant(
    store: Store, session: AsyncSession, row: ProposalRow, person: Person
) -> str | None:
    try:
        account = await access.lock(session, row.target["person"], managed=row.tenant)
    except NotFound:
        return "there is no such account any more."
    if access.of(account) != Access.model_validate(row.target["before"]):
        return f"the access of {account.name} was changed since."
    wanted = Access.model_validate(row.target["wanted"])
    now = await store.now(session)
    await access.grant(session, account, wanted, by=person.id, at=now)
    return None


def _close(  # noqa: PLR0913 who answered what, and when
    session: AsyncSession,
    row: ProposalRow,
    status: State,
    person: Person,
    outcome: str | None,
    *,
    now: datetime,
) -> None:
    row.status, row.outcome = status, outcome
    row.decided_by, row.decided_name, row.decided_at = person.id, person.name, now
    _record(session, f"proposal.{status}", row, person, now=now)


def _record(
    session: AsyncSession, kind: str, row: ProposalRow, person: Person, *, now: datetime
) -> None:
    entry = audit.Entry(
        actor=person.id,
        kind=kind,
        tenant=row.tenant,
        subject=row.id,
        payload={
            "kind": row.kind,
            "target": row.target,
            "reason": row.reason,
            "proposed_by": row.proposed_by,
            "outcome": row.outcome,
            "session": person.session,
        },
    )
    audit.record(session, entry, at=now)
