"""Requests for a proposal: one function for each kind of loosening."""

from datetime import timedelta
from typing import Any, Literal, NamedTuple

from sqlmodel import col, or_, select

from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.ids import new_id
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.dual_control import budget_raise, second_person
from keyturn.orchestrator.store.dual_control.budget_raise import Raise
from keyturn.orchestrator.store.dual_control.errors import NobodyElseConfirms
from keyturn.orchestrator.store.people import access, accounts
from keyturn.orchestrator.store.people.access import Change
from keyturn.orchestrator.store.people.accounts import NewPerson
from keyturn.orchestrator.store.switches import active
from keyturn.orchestrator.store.tables import PersonRow, ProposalRow
from keyturn.orchestrator.store.tenants import tenants
from keyturn.orchestrator.store.tenants.tenants import NewTenant

Kind = Literal[
    "switch.clear",
    "person.access",
    "person.invite",
    "person.password",
    "tenant.declare",
    "budget.raise",
]

# How long a proposal waits for its second person.
LASTS = timedelta(hours=24)
ADMIN_ALONE = (
    "`keyturn user add EMAIL --name NAME --role admin` opens an account without a "
    "second admin; the new admin can confirm this after a day"
)


async def to_clear(
    store: Store, switch: str, person: Person, *, reason: str
) -> ProposalRow:
    """Request that a switch be lifted; one open request per switch at a time.

    Raises `NotFound` if it is not set.
    """
    async with store.write() as session:
        # Two people who request at once find each other's proposal.
        await session.take_turn(f"proposal {switch}")
        await session.read_clock()
        found = await active.set_now(session, switch)
        target = {"switch": switch, "set_at": found.created_at.isoformat()}
        tenant = found.scope.get("tenant")
        new = _New("switch.clear", target, tenant, reason)
        return await _propose(session, new, person)


async def to_grant(
    store: Store, account: str, change: Change, person: Person, *, reason: str
) -> PersonRow | ProposalRow:
    """Change an account's access if that gives it nothing more, else request it.

    Raises `NotFound`, also for another tenant's account, `OwnAccess`, `LastAdmin`, or
    `NobodyElseConfirms`.
    """
    async with store.write() as session:
        await session.take_turn(f"proposal {account}")
        row = await access.lock(session, account, managed=person.tenant)
        await session.read_clock()
        before, wanted = access.of(row), change.of(row)
        if row.id != person.id and access.is_more(before, wanted):
            target = {
                "person": account,
                "name": row.name,
                "before": before.model_dump(),
                "wanted": wanted.model_dump(),
            }
            # Moving a person between tenants concerns the whole installation.
            tenant = row.tenant if wanted.tenant == row.tenant else None
            new = _New("person.access", target, tenant, reason)
            return await _propose_of_people(session, new, person)
        await access.grant(session, row, wanted, by=person.id)
    await access.hand_over(store, row, by=person.id)
    return row


async def to_invite(
    store: Store, new: NewPerson, person: Person, *, reason: str
) -> PersonRow | ProposalRow:
    """Open an account without a password; request one that decides or confirms.

    Raises `EmailTaken` or `NobodyElseConfirms`.
    """
    async with store.write() as session:
        if not new.decides:
            return await accounts.insert(session, new, password_hash=None, by=person.id)
        await accounts.check_address(session, new.email)
        await session.read_clock()
        return await _propose_of_people(
            session,
            _New("person.invite", new.model_dump(mode="json"), new.tenant, reason),
            person,
        )


async def to_reset(
    store: Store, account: str, password_hash: str, person: Person, *, reason: str
) -> ProposalRow:
    """Request that somebody get a password that `person` chose.

    If the same person requests it again, the later password counts. Raises `NotFound`,
    `OwnAccess`, `InvalidValue` for a service, or `NobodyElseConfirms`.
    """
    async with store.write() as session:
        await session.take_turn(f"proposal {account}")
        row = await accounts.get(session, account, tenant=person.tenant)
        access.check_password_of(row, by=person.id)
        before = access.of(row).model_dump()
        await session.read_clock()
        made = await _propose_of_people(
            session,
            _New(
                "person.password",
                {"person": account, "name": row.name, "before": before},
                row.tenant,
                reason,
            ),
            person,
        )
        if made.proposed_by == person.id:
            made.secret = password_hash
        return made


async def to_declare(
    store: Store, new: NewTenant, person: Person, *, reason: str
) -> ProposalRow:
    """Request that a tenant be declared, with limits and budgets of its own.

    Raises `TenantDeclared` or `NobodyElseConfirms`.
    """
    async with store.write() as session:
        await tenants.check_new(session, new.name)
        await session.read_clock()
        return await _propose_of_people(
            session,
            _New("tenant.declare", {"tenant": new.name}, None, reason),
            person,
            alone=f"`keyturn tenant add {new.name}` declares it without a second admin",
        )


async def to_raise(
    store: Store, wanted: Raise, person: Person, *, reason: str
) -> ProposalRow:
    """Request that a budget that holds runs be raised, for its run or its day.

    Raises `NotFound`, `RunEnded`, `HoldsNothing`, or `InvalidValue` for amounts that
    are not a raise, release no run, or are too high.
    """
    async with store.write() as session:
        await session.take_turn(f"proposal {wanted.scope}")
        await session.read_clock()
        found = await budget_raise.to_raise(session, wanted, sees=person.tenant)
        target = {
            **wanted.model_dump(exclude_none=True),
            "before": found.may.model_dump(),
            "taken": found.taken.model_dump(),
            "runs": found.runs,
        }
        new = _New("budget.raise", target, found.tenant, reason)
        return await _propose(session, new, person)


class _New(NamedTuple):
    """What a person proposes, and why."""

    kind: Kind
    target: dict[str, Any]
    tenant: str | None
    reason: str


async def _propose(session: Tx, new: _New, person: Person) -> ProposalRow:
    """Return the open proposal of this, or create it."""
    second_person.check_person(person)
    second_person.check_not_new(person.approves_from, now=session.now)
    same = select(ProposalRow).where(
        col(ProposalRow.kind) == new.kind,
        col(ProposalRow.status) == "open",
        col(ProposalRow.ends_at) > session.now,
    )
    # Locked because a password may be put into it: nobody answers it meanwhile.
    same = same.with_for_update() if new.kind == "person.password" else same
    for known in (await session.execute(same)).scalars():
        if known.target == new.target:
            return known
    row = ProposalRow(
        id=new_id("proposal", now=session.now.timestamp()),
        kind=new.kind,
        target=new.target,
        tenant=new.tenant,
        reason=new.reason,
        proposed_by=person.id,
        proposed_name=person.name,
        created_at=session.now,
        ends_at=session.now + LASTS,
    )
    session.add(row)
    record(session, "proposal.opened", row, person)
    return row


async def _propose_of_people(
    session: Tx, new: _New, person: Person, *, alone: str = ADMIN_ALONE
) -> ProposalRow:
    """Propose what an admin confirms, if there is another admin who could."""
    others = select(PersonRow.id).where(
        col(PersonRow.role) == "admin",
        col(PersonRow.kind) == "person",
        col(PersonRow.disabled_at).is_(None),
        col(PersonRow.id).not_in([person.id, str(new.target.get("person"))]),
        or_(col(PersonRow.tenant).is_(None), col(PersonRow.tenant) == new.tenant),
        or_(
            col(PersonRow.approves_from).is_(None),
            col(PersonRow.approves_from) < session.now + LASTS,
        ),
    )
    if (await session.execute(others.limit(1))).first() is None:
        raise NobodyElseConfirms(
            "A second admin has to confirm this, and there is nobody else who may. "
            f"On the server host, {alone}; this is audited."
        )
    return await _propose(session, new, person)


def record(session: Tx, kind: str, row: ProposalRow, person: Person) -> None:
    """Record an event of a proposal in the audit log, with the person who caused it."""
    entry = log.Entry(
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
    log.record(session, entry, at=session.now)
