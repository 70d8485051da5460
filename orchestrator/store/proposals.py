"""Proposals: a loosening that one person asks for and another one confirms (P11).

What is proposed happens in the transaction of its confirmation, and is looked at again
there: a proposal about what has changed since is void.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, or_, select

from orchestrator.rules.errors import KeyturnError, NotFound
from orchestrator.store import (
    access,
    audit,
    confirmed,
    people,
    raising,
    second_person,
    switches,
    tenants,
)
from orchestrator.store.access import Change
from orchestrator.store.approvals import Person
from orchestrator.store.engine import Store
from orchestrator.store.people import NewPerson
from orchestrator.store.raising import Raise
from orchestrator.store.runs import new_id
from orchestrator.store.tables import PersonRow, ProposalRow
from orchestrator.store.tenants import NewTenant

Kind = Literal[
    "switch.clear",
    "person.access",
    "person.invite",
    "person.password",
    "tenant.declare",
    "budget.raise",
]
State = Literal["open", "confirmed", "declined", "withdrawn", "void", "expired"]

# So long a proposal waits for its second person.
LASTS = timedelta(hours=24)
ADMIN_ALONE = (
    "`keyturn user add EMAIL --name NAME --role admin` opens an account without one, "
    "which confirms after a day"
)


class ProposalClosed(KeyturnError):
    """The proposal waits for nobody any more."""

    def __init__(self, proposal: str, state: State, why: str) -> None:
        """Name the proposal, what became of it, and why."""
        self.proposal, self.state = proposal, state
        super().__init__(f"The proposal {proposal} is {state}: {why}")


class NobodyElseConfirms(KeyturnError):
    """Nobody else manages these people, so nobody could say yes."""


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
    store: Store, account: str, change: Change, person: Person, *, reason: str
) -> PersonRow | ProposalRow:
    """Change an account's access where that gives it nothing more, else ask for it.

    Raises `NotFound`, also for another tenant's account, `OwnAccess`, `LastAdmin`, or
    `NobodyElseConfirms`.
    """
    async with store.write() as session:
        await store.take_turn(session, f"proposal {account}")
        row = await access.lock(session, account, managed=person.tenant)
        now = await store.now(session)
        before, wanted = access.of(row), change.of(row)
        if row.id != person.id and access.is_more(before, wanted):
            return await _propose_of_people(
                session,
                "person.access",
                {
                    "person": account,
                    "name": row.name,
                    "before": before.model_dump(),
                    "wanted": wanted.model_dump(),
                },
                person,
                # Who moves between tenants is a matter of the whole installation.
                tenant=row.tenant if wanted.tenant == row.tenant else None,
                reason=reason,
                now=now,
            )
        await access.grant(session, row, wanted, by=person.id, at=now)
    await access.hand_over(store, row, by=person.id)
    return row


async def to_invite(
    store: Store, new: NewPerson, person: Person, *, reason: str
) -> PersonRow | ProposalRow:
    """Open an account without a password; ask for one that decides or confirms.

    Raises `EmailTaken` or `NobodyElseConfirms`.
    """
    async with store.write() as session:
        if not new.decides:
            return await people.insert(
                session, store, new, password_hash=None, by=person.id
            )
        await people.check_address(session, store, new.email)
        return await _propose_of_people(
            session,
            "person.invite",
            new.model_dump(mode="json"),
            person,
            tenant=new.tenant,
            reason=reason,
            now=await store.now(session),
        )


async def to_reset(
    store: Store, account: str, password_hash: str, person: Person, *, reason: str
) -> ProposalRow:
    """Ask for somebody to get a password that `person` chose.

    Asked again by the same person, the later password counts. Raises `NotFound`,
    `OwnAccess`, `InvalidValue` for a service, or `NobodyElseConfirms`.
    """
    async with store.write() as session:
        await store.take_turn(session, f"proposal {account}")
        row = await people.get(session, account, tenant=person.tenant)
        access.check_password_of(row, by=person.id)
        before = access.of(row).model_dump()
        made = await _propose_of_people(
            session,
            "person.password",
            {"person": account, "name": row.name, "before": before},
            person,
            tenant=row.tenant,
            reason=reason,
            now=await store.now(session),
        )
        if made.proposed_by == person.id:
            made.secret = password_hash
        return made


async def to_declare(
    store: Store, new: NewTenant, person: Person, *, reason: str
) -> ProposalRow:
    """Ask for a tenant to be declared: limits and budgets of its own come with it.

    Raises `TenantDeclared` or `NobodyElseConfirms`.
    """
    async with store.write() as session:
        await tenants.check_new(session, store, new.name)
        return await _propose_of_people(
            session,
            "tenant.declare",
            {"tenant": new.name},
            person,
            tenant=None,
            reason=reason,
            now=await store.now(session),
            alone=f"`keyturn tenant add {new.name}` declares it without one",
        )


async def to_raise(
    store: Store, wanted: Raise, person: Person, *, reason: str
) -> ProposalRow:
    """Ask for a budget that holds runs to be raised, for its run or its day.

    Raises `NotFound`, `RunEnded`, `HoldsNothing`, or `InvalidValue` for amounts that are
    no raise, let nothing go on, or are too much.
    """
    async with store.write() as session:
        await store.take_turn(session, f"proposal {wanted.scope}")
        now = await store.now(session)
        found = await raising.to_raise(session, wanted, sees=person.tenant, now=now)
        target = {
            **wanted.model_dump(exclude_none=True),
            "before": found.may.model_dump(),
            "taken": found.taken.model_dump(),
            "runs": found.runs,
        }
        return await _propose(
            session,
            "budget.raise",
            target,
            person,
            tenant=found.tenant,
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
        # First of all accounts, as every change of access locks them.
        await access.lock_admins(session)
        await second_person.check_second(session, row, person, roles, now=now)
        why = await second_person.unfit(session, row, roles) or await confirmed.do(
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
            raise second_person.NeedsSecondPerson(
                "This proposal is yours: withdraw it."
            )
        second_person.check_person(person)
        _close(session, row, "declined", person, reason, now=now)
        return row


async def withdraw(store: Store, proposal: str, person: Person) -> ProposalRow:
    """Take one's own proposal back; raises as `confirm` does."""
    async with store.write() as session:
        row, now = await _lock_open(store, session, proposal, person)
        if person.id != row.proposed_by:
            raise second_person.NeedsSecondPerson(
                f"{row.proposed_name} proposed this, and alone can withdraw it; "
                "decline it."
            )
        _close(session, row, "withdrawn", person, None, now=now)
        return row


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
    kinds: Collection[str] | None = None,
) -> list[ProposalRow]:
    """Return proposals, newest first, with a tenant its own; `is_open`: what waits.

    `kinds`: only these.
    """
    waits = (col(ProposalRow.status) == "open") & (col(ProposalRow.ends_at) > now)
    query = select(ProposalRow).order_by(col(ProposalRow.id).desc()).limit(limit)
    query = query.where(waits) if is_open else query
    if kinds is not None:
        query = query.where(col(ProposalRow.kind).in_(kinds))
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
    second_person.check_person(person)
    second_person.check_not_new(person.approves_from, now=now)
    same = select(ProposalRow).where(
        col(ProposalRow.kind) == kind,
        col(ProposalRow.status) == "open",
        col(ProposalRow.ends_at) > now,
    )
    # Locked, as a password may be put into it: it is not being answered meanwhile.
    same = same.with_for_update() if kind == "person.password" else same
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
    _record(session, "proposal.opened", row, person, now=now)
    return row


async def _propose_of_people(  # noqa: PLR0913 a proposal's own fields
    session: AsyncSession,
    kind: Kind,
    target: dict[str, Any],
    person: Person,
    *,
    tenant: str | None,
    reason: str,
    now: datetime,
    alone: str = ADMIN_ALONE,
) -> ProposalRow:
    """Propose what an admin confirms, where there is another one who could."""
    others = select(PersonRow.id).where(
        col(PersonRow.role) == "admin",
        col(PersonRow.kind) == "person",
        col(PersonRow.disabled_at).is_(None),
        col(PersonRow.id).not_in([person.id, str(target.get("person"))]),
        or_(col(PersonRow.tenant).is_(None), col(PersonRow.tenant) == tenant),
        or_(
            col(PersonRow.approves_from).is_(None),
            col(PersonRow.approves_from) < now + LASTS,
        ),
    )
    if (await session.execute(others.limit(1))).first() is None:
        raise NobodyElseConfirms(
            "This takes a second admin's yes, and there is nobody else who may confirm "
            f"it. On the server host: {alone}, and is audited."
        )
    return await _propose(
        session, kind, target, person, tenant=tenant, reason=reason, now=now
    )


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


def _close(  # noqa: PLR0913 who answered what, and when
    session: AsyncSession,
    row: ProposalRow,
    status: State,
    person: Person,
    outcome: str | None,
    *,
    now: datetime,
) -> None:
    row.status, row.outcome, row.secret = status, outcome, None
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
