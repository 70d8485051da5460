"""Who answers a proposal: those who may do its opposite in one step (P11)."""

from keyturn.approvals.auth import permissions
from keyturn.approvals.auth.permissions import Action
from keyturn.approvals.web.dependencies import Parts
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.store.dual_control import proposals
from keyturn.orchestrator.store.tables import ProposalRow

NEEDS: dict[str, Action] = {
    "switch.clear": "switches.set",
    "person.access": "people.manage",
    "person.invite": "people.manage",
    "person.password": "people.manage",
    "tenant.declare": "tenants.declare",
    "budget.raise": "budgets.raise",
}


# The page on which a proposal of each kind is answered.
PAGES: dict[str, str] = {
    "switch.clear": "/ops",
    "person.access": "/settings/people",
    "person.invite": "/settings/people",
    "person.password": "/settings/people",
    "tenant.declare": "/settings/people",
    "budget.raise": "/ops",
}


async def visible(parts: Parts, proposal: str, person: Person) -> ProposalRow:
    """Return a proposal that this person may answer, or raise `NotFound` or `MayNot`."""
    async with parts.store.read() as session:
        row = await proposals.get(session, proposal, tenant=person.tenant)
    permissions.check(person, NEEDS[row.kind])
    return row


async def confirm(parts: Parts, proposal: str, person: Person) -> ProposalRow:
    """Confirm a proposal as its second person; signal the runs that it releases."""
    row = await visible(parts, proposal, person)
    roles = permissions.ALLOWED[NEEDS[row.kind]]
    done = await proposals.confirm(parts.store, proposal, person, roles=roles)
    parts.deliver_soon()
    return done


async def decline(
    parts: Parts, proposal: str, person: Person, *, reason: str
) -> ProposalRow:
    """Decline a proposal."""
    await visible(parts, proposal, person)
    return await proposals.decline(parts.store, proposal, person, reason=reason)


async def withdraw(parts: Parts, proposal: str, person: Person) -> ProposalRow:
    """Withdraw one's own proposal."""
    await visible(parts, proposal, person)
    return await proposals.withdraw(parts.store, proposal, person)
