"""Proposals: a loosening that one person requests and another one confirms (P11).

A proposal is applied in the transaction of its confirmation, and checked again there:
it is void if what it is about has changed since.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlmodel import col, select

from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.dual_control import (
    apply,
    errors,
    requests,
    second_person,
)
from keyturn.orchestrator.store.dual_control import state as dual_control_state
from keyturn.orchestrator.store.dual_control.errors import ProposalClosed
from keyturn.orchestrator.store.dual_control.state import State
from keyturn.orchestrator.store.people import access
from keyturn.orchestrator.store.tables import ProposalRow


async def confirm(
    store: Store, proposal: str, person: Person, *, roles: Collection[str]
) -> ProposalRow:
    """Apply a proposal; `roles` are those that may have proposed it.

    Raises `NotFound`, `NeedsSecondPerson`, or `ProposalClosed`, also if the proposal no
    longer fits the present state: then it is void.
    """
    async with store.write() as session:
        row = await _lock_open(session, proposal, person)
        # Locked before all other accounts, as in every change of access.
        await access.lock_admins(session)
        await second_person.check_second(session, row, person, roles)
        why = await second_person.unfit(session, row, roles) or await apply.do(
            session, row, person
        )
        _close(session, row, "void" if why else "confirmed", person, why)
    if why:
        raise ProposalClosed(proposal, "void", why)
    return row


async def decline(
    store: Store, proposal: str, person: Person, *, reason: str
) -> ProposalRow:
    """Decline a proposal; raises like `confirm`."""
    async with store.write() as session:
        row = await _lock_open(session, proposal, person)
        if person.id == row.proposed_by:
            raise errors.NeedsSecondPerson(
                "This proposal is your own: withdraw it instead."
            )
        second_person.check_person(person)
        _close(session, row, "declined", person, reason)
        return row


async def withdraw(store: Store, proposal: str, person: Person) -> ProposalRow:
    """Withdraw one's own proposal; raises like `confirm`."""
    async with store.write() as session:
        row = await _lock_open(session, proposal, person)
        if person.id != row.proposed_by:
            raise errors.NeedsSecondPerson(
                f"Only {row.proposed_name}, who proposed this, can withdraw it; "
                "decline it instead."
            )
        _close(session, row, "withdrawn", person, None)
        return row


async def get(session: Tx, proposal: str, *, tenant: str | None) -> ProposalRow:
    """Return a proposal, or raise `NotFound`, also for another tenant's."""
    row = await session.get(ProposalRow, proposal)
    if row is None or (tenant is not None and row.tenant != tenant):
        raise NotFound(kind="proposal", name=proposal)
    return row


@dataclass(frozen=True)
class Filter:
    """The proposals to list: a tenant's own, open ones, of these kinds; None: all."""

    tenant: str | None
    is_open: bool
    kinds: Collection[str] | None = None


async def listing(
    session: Tx, wanted: Filter, *, limit: int = 100, before: str | None = None
) -> list[ProposalRow]:
    """Return proposals, newest first."""
    waits = (col(ProposalRow.status) == "open") & (
        col(ProposalRow.ends_at) > session.now
    )
    query = select(ProposalRow).order_by(col(ProposalRow.id).desc()).limit(limit)
    query = query.where(waits) if wanted.is_open else query
    if wanted.kinds is not None:
        query = query.where(col(ProposalRow.kind).in_(wanted.kinds))
    if wanted.tenant is not None:
        query = query.where(col(ProposalRow.tenant) == wanted.tenant)
    if before is not None:
        query = query.where(col(ProposalRow.id) < before)
    return list((await session.execute(query)).scalars())


async def _lock_open(session: Tx, proposal: str, person: Person) -> ProposalRow:
    """Lock an open proposal and return it; the time is read after the lock."""
    row = await session.get(
        ProposalRow, proposal, with_for_update=True, populate_existing=True
    )
    if row is None or (person.tenant is not None and row.tenant != person.tenant):
        raise NotFound(kind="proposal", name=proposal)
    now = await session.read_clock()
    found = dual_control_state.state(row, now=now)
    if found == "expired":
        ended = f"nobody confirmed it before {row.ends_at:%Y-%m-%d %H:%M %Z}; propose it again."
        raise ProposalClosed(proposal, found, ended)
    if found != "open":
        raise ProposalClosed(
            proposal,
            found,
            f"{row.decided_name} answered it first. {row.outcome or ''}".strip(),
        )
    return row


def _close(
    session: Tx, row: ProposalRow, status: State, person: Person, outcome: str | None
) -> None:
    row.status, row.outcome, row.secret = status, outcome, None
    row.decided_by, row.decided_name, row.decided_at = (
        person.id,
        person.name,
        session.now,
    )
    requests.record(session, f"proposal.{status}", row, person)
