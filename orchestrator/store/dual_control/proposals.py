"""Proposals: a loosening that one person requests and another one confirms (P11).

A proposal is applied in the transaction of its confirmation, and checked again there:
it is void if what it is about has changed since.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.store.db.database import Store
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
        row, now = await _lock_open(store, session, proposal, person)
        # Locked before all other accounts, as in every change of access.
        await access.lock_admins(session)
        await second_person.check_second(session, row, person, roles, now=now)
        why = await second_person.unfit(session, row, roles) or await apply.do(
            store, session, row, person
        )
        _close(session, row, "void" if why else "confirmed", person, why, now=now)
    if why:
        raise ProposalClosed(proposal, "void", why)
    return row


async def decline(
    store: Store, proposal: str, person: Person, *, reason: str
) -> ProposalRow:
    """Decline a proposal; raises like `confirm`."""
    async with store.write() as session:
        row, now = await _lock_open(store, session, proposal, person)
        if person.id == row.proposed_by:
            raise errors.NeedsSecondPerson(
                "This proposal is your own: withdraw it instead."
            )
        second_person.check_person(person)
        _close(session, row, "declined", person, reason, now=now)
        return row


async def withdraw(store: Store, proposal: str, person: Person) -> ProposalRow:
    """Withdraw one's own proposal; raises like `confirm`."""
    async with store.write() as session:
        row, now = await _lock_open(store, session, proposal, person)
        if person.id != row.proposed_by:
            raise errors.NeedsSecondPerson(
                f"Only {row.proposed_name}, who proposed this, can withdraw it; "
                "decline it instead."
            )
        _close(session, row, "withdrawn", person, None, now=now)
        return row


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
    """Return proposals, newest first; with a tenant, its own; `is_open`: open ones.

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


async def _lock_open(
    store: Store, session: AsyncSession, proposal: str, person: Person
) -> tuple[ProposalRow, datetime]:
    """Return an open proposal, locked, and the time read after the lock."""
    row = await session.get(
        ProposalRow, proposal, with_for_update=True, populate_existing=True
    )
    if row is None or (person.tenant is not None and row.tenant != person.tenant):
        raise NotFound(kind="proposal", name=proposal)
    now = await store.now(session)
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
    requests.record(session, f"proposal.{status}", row, person, now=now)
