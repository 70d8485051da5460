"""Applies a confirmed proposal of each kind, in its confirmation's transaction.

Each function returns the reason why it cannot be applied any more, or None.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.dual_control import budget_raise
from keyturn.orchestrator.store.people import access, accounts
from keyturn.orchestrator.store.people.access import Access
from keyturn.orchestrator.store.people.accounts import NewPerson
from keyturn.orchestrator.store.people.errors import EmailTaken
from keyturn.orchestrator.store.switches import switches
from keyturn.orchestrator.store.tables import ProposalRow
from keyturn.orchestrator.store.tenants import tenants
from keyturn.orchestrator.store.tenants.errors import TenantDeclared
from keyturn.orchestrator.store.tenants.tenants import NewTenant

NO_ACCOUNT = "the account no longer exists."


async def _clear(session: Tx, row: ProposalRow, person: Person) -> str | None:
    switch = row.target["switch"]
    try:
        await switches.lift(
            session,
            switch,
            by=person.id,
            reason=f"{row.reason} (proposed by {row.proposed_name})",
            set_at=datetime.fromisoformat(row.target["set_at"]),
        )
    except NotFound:
        return f"the switch {switch!r} was lifted, has ended, or was set again since."
    return None


async def _grant(session: Tx, row: ProposalRow, person: Person) -> str | None:
    try:
        account = await access.lock(session, row.target["person"], managed=row.tenant)
    except NotFound:
        return NO_ACCOUNT
    if access.of(account) != Access.model_validate(row.target["before"]):
        return f"the access of {account.name} was changed since."
    await session.read_clock()
    await access.grant(
        session,
        account,
        Access.model_validate(row.target["wanted"]),
        by=person.id,
        proposed_by=row.proposed_by,
    )
    return None


async def _invite(session: Tx, row: ProposalRow, person: Person) -> str | None:
    new = NewPerson.model_validate(row.target)
    try:
        await accounts.insert(session, new, password_hash=None, by=person.id)
    except EmailTaken:
        return f"an account for {new.email} was opened since."
    return None


async def _reset(session: Tx, row: ProposalRow, person: Person) -> str | None:
    try:
        account = await access.lock(session, row.target["person"], managed=row.tenant)
    except NotFound:
        return NO_ACCOUNT
    if row.secret is None or access.of(account) != Access.model_validate(
        row.target["before"]
    ):
        return f"the access of {account.name} was changed since."
    await session.read_clock()
    await access.reset_password(
        session,
        account,
        password_hash=row.secret,
        by=person.id,
        proposed_by=row.proposed_by,
    )
    return None


async def _declare(session: Tx, row: ProposalRow, person: Person) -> str | None:
    new = NewTenant(name=row.target["tenant"])
    await session.read_clock()
    try:
        await tenants.insert(session, new, by=person.id)
    except TenantDeclared:
        return f"the tenant {new.name!r} was declared since."
    return None


async def _raise(session: Tx, row: ProposalRow, person: Person) -> str | None:
    return await budget_raise.do(session, row, by=person.id)


Doing = Callable[[Tx, ProposalRow, Person], Awaitable[str | None]]
_DOING: Mapping[str, Doing] = {
    "switch.clear": _clear,
    "person.access": _grant,
    "person.invite": _invite,
    "person.password": _reset,
    "tenant.declare": _declare,
    "budget.raise": _raise,
}


async def do(session: Tx, row: ProposalRow, person: Person) -> str | None:
    """Apply the proposal."""
    doing = _DOING.get(row.kind)
    if doing is None:
        return f"this version does not know {row.kind!r}."
    return await doing(session, row, person)
