"""Admins who ask one another to confirm what an account gets."""

from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.store.approvals.eligibility import person_of
from keyturn.orchestrator.store.dual_control import proposals, requests
from keyturn.orchestrator.store.people import access as person_access
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people.access import Access, Change
from keyturn.orchestrator.store.people.accounts import NewPerson
from keyturn.orchestrator.store.tables import PersonRow, ProposalRow
from tests.orchestrator.store.accounts import Accounts

HASH, OTHER_HASH = "a hash", "another hash"
MAX_AGAIN = NewPerson(name="Max again", email="max2@shop.example", role="admin")


class Office:
    """Admins who have been here for long, and what they ask of one another."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts, self.store = accounts, accounts.store

    async def person(
        self, name: str, role: str = "admin", *, tenant: str | None = None
    ) -> Person:
        row = await self.accounts.open(name, role, tenant=tenant)
        await person_accounts.waive_first_day(self.store, row.id, by="test")
        return person_of(await self.accounts.read(row))

    async def two(self) -> tuple[Person, Person]:
        return await self.person("anna"), await self.person("arno")

    async def grant(self, account: str, change: Change, by: Person) -> ProposalRow:
        made = await requests.to_grant(self.store, account, change, by, reason="x")
        assert isinstance(made, ProposalRow)
        return made

    async def invite(self, new: NewPerson, by: Person) -> ProposalRow:
        made = await requests.to_invite(self.store, new, by, reason="x")
        assert isinstance(made, ProposalRow)
        return made

    async def reset(self, row: PersonRow, by: Person, new: str = HASH) -> ProposalRow:
        return await requests.to_reset(self.store, row.id, new, by, reason="x")

    async def confirm(self, made: ProposalRow, by: Person) -> ProposalRow:
        return await proposals.confirm(self.store, made.id, by, roles=("admin",))

    async def access(self, row: PersonRow) -> Access:
        return person_access.of(await self.accounts.read(row))

    async def of_address(self, email: str) -> PersonRow | None:
        async with self.store.read() as session:
            return await person_accounts.by_email(session, email)
