"""P11: giving an account more takes two people, taking away one."""

import asyncio
from collections.abc import Awaitable

import pytest

from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.errors import KeyturnError, NotFound
from keyturn.orchestrator.rules.policy.rules import Role
from keyturn.orchestrator.store.approvals.eligibility import person_of
from keyturn.orchestrator.store.dual_control import break_glass, proposals, requests
from keyturn.orchestrator.store.dual_control.errors import (
    NeedsSecondPerson,
    NobodyElseConfirms,
    ProposalClosed,
)
from keyturn.orchestrator.store.incidents import incidents
from keyturn.orchestrator.store.people import access as person_access
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people import sessions
from keyturn.orchestrator.store.people.access import Access, Change
from keyturn.orchestrator.store.people.accounts import NEW_FOR, NewPerson
from keyturn.orchestrator.store.people.errors import EmailTaken, OwnAccess, WouldWiden
from keyturn.orchestrator.store.tables import PersonRow, ProposalRow
from tests.databases import both
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


@pytest.fixture
def office(accounts: Accounts) -> Office:
    return Office(accounts)


MORE = pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        (Access(role="agent"), Change(role="lead"), Access(role="lead")),
        (Access(role="agent"), Change(role="auditor"), Access(role="auditor")),
        (Access(role="lead"), Change(role="operator"), Access(role="operator")),
        (
            Access(role="agent", tenant="acme"),
            Change(tenant=None),
            Access(role="agent"),
        ),
        (
            Access(role="agent", tenant="acme"),
            Change(tenant="other"),
            Access(role="agent", tenant="other"),
        ),
        (
            Access(role="lead", tenant="acme"),
            Change(role="agent", tenant="other"),
            Access(role="agent", tenant="other"),
        ),
        (
            Access(role="developer", is_open=False),
            Change(is_open=True),
            Access(role="developer"),
        ),
    ],
    ids=["higher", "beside", "beside too", "all", "other", "less and other", "opened"],
)


@MORE
async def test_p11_more_waits_for_a_second_admin(
    office: Office, before: Access, change: Change, after: Access
) -> None:
    anna, arno = await office.two()
    row = await office.accounts.open("ben", before.role, tenant=before.tenant)
    if not before.is_open:
        await person_access.disable(office.store, row.id, by=anna.id)

    made = await office.grant(row.id, change, anna)
    meanwhile = await office.access(row)
    with pytest.raises(NeedsSecondPerson, match="takes two people"):
        await office.confirm(made, anna)
    await office.confirm(made, arno)

    assert (meanwhile, await office.access(row)) == (before, after)
    kinds = await office.accounts.kinds()
    assert kinds[-1] == "proposal.confirmed"
    assert kinds[-2] in {"person.access_changed", "person.enabled"}


@MORE
async def test_p11_no_one_person_gives_more(
    office: Office, before: Access, change: Change, after: Access
) -> None:
    anna, _ = await office.two()
    row = await office.accounts.open("ben", before.role, tenant=before.tenant)
    if not before.is_open:
        await person_access.disable(office.store, row.id, by=anna.id)

    with pytest.raises(WouldWiden):
        await person_access.change(office.store, row.id, change, by=anna.id)

    assert await office.access(row) == before != after


@pytest.mark.parametrize(
    "change",
    [
        Change(role="agent"),
        Change(role="developer"),
        Change(tenant="acme"),
        Change(role="agent", tenant="acme"),
        Change(is_open=False),
    ],
    ids=["lower", "lowest", "one tenant", "both", "closed"],
)
async def test_p11_less_takes_one_person_and_one_step(
    office: Office, change: Change
) -> None:
    anna, _ = await office.two()
    lea = await office.accounts.open("lea", "lead")

    done = await requests.to_grant(office.store, lea.id, change, anna, reason="x")

    assert isinstance(done, PersonRow)
    assert await office.access(lea) == change.of(lea)


async def test_p11_nobody_proposes_or_confirms_their_own_access(office: Office) -> None:
    anna = await office.person("anna")
    lou = await office.accounts.open("lou", "admin", tenant="acme")
    await person_accounts.waive_first_day(office.store, lou.id, by="test")
    lou_now = person_of(await office.accounts.read(lou))
    await office.person("tina", tenant="acme")
    await office.person("arno")
    made = await office.grant(lou.id, Change(tenant=None), anna)

    with pytest.raises(OwnAccess):
        await requests.to_grant(
            office.store, lou.id, Change(tenant=None), lou_now, reason="x"
        )
    # What is of the whole installation is not there for a tenant's admin.
    with pytest.raises(NotFound):
        await office.confirm(made, lou_now)

    assert (await office.access(lou)).tenant == "acme"


async def test_p11_access_that_changed_since_voids_the_proposal(office: Office) -> None:
    anna, arno = await office.two()
    row = await office.accounts.open("ben", "lead")
    made = await office.grant(row.id, Change(role="admin"), anna)
    await person_access.disable(office.store, row.id, by=arno.id)

    with pytest.raises(ProposalClosed, match="was changed since"):
        await office.confirm(made, arno)

    assert await office.access(row) == Access(role="lead", is_open=False)


@pytest.mark.parametrize(
    "change", [Change(role="operator"), Change(is_open=False), Change(tenant="acme")]
)
async def test_p11_the_proposer_still_has_to_be_an_admin(
    office: Office, change: Change
) -> None:
    anna, arno = await office.two()
    row = await office.accounts.open("ben")
    made = await office.grant(row.id, Change(role="lead"), anna)
    await person_access.change(office.store, anna.id, change, by=arno.id)

    with pytest.raises(ProposalClosed, match="is void"):
        await office.confirm(made, arno)

    assert await office.access(row) == Access(role="agent")


@pytest.mark.parametrize(
    "change", [Change(role="operator"), Change(is_open=False), Change(tenant="acme")]
)
async def test_p11_the_confirmer_is_looked_at_when_they_confirm(
    office: Office, change: Change
) -> None:
    anna, arno = await office.two()
    row = await office.accounts.open("ben")
    made = await office.grant(row.id, Change(role="lead"), anna)
    # `arno` is who the session said he was when the request came in.
    await person_access.change(office.store, arno.id, change, by=anna.id)

    with pytest.raises(NeedsSecondPerson, match="was changed"):
        await office.confirm(made, arno)

    assert await office.access(row) == Access(role="agent")


@both
async def test_p11_two_who_confirm_at_once_grant_it_once(office: Office) -> None:
    anna, arno = await office.two()
    third = await office.person("abby")
    row = await office.accounts.open("ben")
    made = await office.grant(row.id, Change(role="lead"), anna)

    found = await _at_once(office.confirm(made, arno), office.confirm(made, third))

    assert sorted(type(one).__name__ for one in found) == [
        "ProposalClosed",
        "ProposalRow",
    ]
    kinds = await office.accounts.kinds()
    assert kinds.count("person.access_changed") == 1


@both
async def test_p11_confirmed_while_its_proposer_is_closed_is_one_of_both(
    office: Office,
) -> None:
    anna, arno = await office.two()
    third = await office.person("abby")
    for number in range(6):
        await office.accounts.open(f"ben{number}")
        row = await office.of_address(f"ben{number}@shop.example")
        assert row is not None
        proposer = await office.person(f"pia{number}")
        made = await office.grant(row.id, Change(role="lead"), proposer)
        both = (
            office.confirm(made, arno),
            person_access.disable(office.store, proposer.id, by=third.id),
        )

        found = await asyncio.gather(
            *(reversed(both) if number % 2 else both), return_exceptions=True
        )

        won = any(isinstance(one, ProposalRow) for one in found)
        assert ((await office.access(row)).role == "lead") == won
        for one in found:
            assert isinstance(one, ProposalRow | PersonRow | ProposalClosed), one
    assert anna.id


@pytest.mark.parametrize("role", ["agent", "lead", "operator", "admin"])
async def test_p11_an_invited_account_is_nobody_until_the_second_yes(
    office: Office, role: Role
) -> None:
    anna, arno = await office.two()
    new = MAX_AGAIN.model_copy(update={"role": role})

    made = await office.invite(new, anna)
    before = await office.of_address(new.email)
    await office.confirm(made, arno)
    after = await office.of_address(new.email)

    assert before is None
    assert after is not None
    assert (after.role, after.approves_from) == (
        role,
        office.accounts.clock.now + NEW_FOR,
    )


@pytest.mark.parametrize(
    "new",
    [
        MAX_AGAIN.model_copy(update={"role": "developer"}),
        MAX_AGAIN.model_copy(update={"role": "auditor"}),
        MAX_AGAIN.model_copy(update={"kind": "service"}),
    ],
    ids=["developer", "auditor", "a service"],
)
async def test_p11_who_decides_nothing_is_invited_by_one(
    office: Office, new: NewPerson
) -> None:
    anna = await office.person("anna")

    made = await requests.to_invite(office.store, new, anna, reason="x")

    assert isinstance(made, PersonRow)


async def test_p11_no_admin_makes_their_own_second_person(office: Office) -> None:
    anna, _ = await office.two()
    made = await office.invite(MAX_AGAIN, anna)

    with pytest.raises(NeedsSecondPerson):
        await office.confirm(made, anna)
    developer = MAX_AGAIN.model_copy(
        update={"role": "developer", "email": "max3@shop.example"}
    )
    row = await requests.to_invite(office.store, developer, anna, reason="x")
    assert isinstance(row, PersonRow)
    with pytest.raises(WouldWiden):
        await person_access.change(
            office.store, row.id, Change(role="admin"), by=anna.id
        )

    assert await office.of_address(MAX_AGAIN.email) is None


async def test_p11_an_address_that_was_taken_voids_the_invitation(
    office: Office,
) -> None:
    anna, arno = await office.two()
    made = await office.invite(MAX_AGAIN, anna)
    await person_accounts.add(office.store, MAX_AGAIN, password_hash=None, by="test")

    with pytest.raises(ProposalClosed, match="has got an account since"):
        await office.confirm(made, arno)
    with pytest.raises(EmailTaken):
        await office.invite(MAX_AGAIN, anna)


@both
async def test_p11_an_address_confirmed_and_added_at_once_is_one_account(
    office: Office,
) -> None:
    anna, arno = await office.two()
    for number in range(4):
        new = MAX_AGAIN.model_copy(update={"email": f"new{number}@shop.example"})
        made = await office.invite(new, anna)

        found = await asyncio.gather(
            office.confirm(made, arno),
            person_accounts.add(office.store, new, password_hash=None, by="test"),
            return_exceptions=True,
        )

        for one in found:
            assert isinstance(
                one, ProposalRow | PersonRow | ProposalClosed | EmailTaken
            ), one
        assert sum(isinstance(one, ProposalRow | PersonRow) for one in found) == 1


async def test_p11_a_password_that_another_chose_waits_for_a_second_admin(
    office: Office,
) -> None:
    anna, arno = await office.two()
    lea = await office.accounts.open("lea", "lead")
    opened = await sessions.begin(office.store, lea, instead_of=None)
    office.accounts.clock.passes(NEW_FOR * 2)
    opened = await sessions.begin(office.store, lea, instead_of=None)

    made = await office.reset(lea, anna, HASH)
    again = await office.reset(lea, anna, OTHER_HASH)
    others = await office.reset(lea, arno, "a third hash")
    before = await office.accounts.read(lea)
    still = await sessions.find(office.store, opened.cookie)
    done = await office.confirm(made, arno)

    after = await office.accounts.read(lea)
    assert made.id == again.id == others.id
    assert (before.password_hash, after.password_hash) == (None, OTHER_HASH)
    assert still is not None
    assert await sessions.find(office.store, opened.cookie) is None
    assert after.approves_from == office.accounts.clock.now + NEW_FOR
    assert done.secret is None
    assert not any("hash" in row.payload for row in await office.accounts.log())


async def test_p11_a_confirmed_password_is_not_for_who_has_more_since(
    office: Office,
) -> None:
    anna, arno = await office.two()
    third = await office.person("abby")
    row = await office.accounts.open("ben", "developer")
    reset = await office.reset(row, anna)
    await office.confirm(await office.grant(row.id, Change(role="lead"), third), arno)

    with pytest.raises(ProposalClosed, match="was changed since"):
        await office.confirm(reset, arno)

    assert (await office.accounts.read(row)).password_hash is None


async def test_p11_whose_password_another_chose_is_no_second_person(
    office: Office,
) -> None:
    anna, arno = await office.two()
    abby = await office.accounts.open("abby", "admin")
    await person_accounts.waive_first_day(office.store, abby.id, by="test")
    before = person_of(await office.accounts.read(abby))
    await office.confirm(await office.reset(abby, anna), arno)
    row = await office.accounts.open("ben")
    made = await office.grant(row.id, Change(role="lead"), anna)

    # With the day as it is now, and as a request under way still has it.
    for one in (person_of(await office.accounts.read(abby)), before):
        with pytest.raises(NeedsSecondPerson, match="for a day"):
            await office.confirm(made, one)
    with pytest.raises(NeedsSecondPerson, match="for a day"):
        await office.invite(MAX_AGAIN, person_of(await office.accounts.read(abby)))

    assert await office.access(row) == Access(role="agent")


async def test_p11_a_lone_admin_is_told_what_to_do(office: Office) -> None:
    anna = await office.person("anna")
    await office.person("olga", "operator")
    await office.person("tina", tenant="acme")
    row = await office.accounts.open("ben")

    for ask in (
        office.grant(row.id, Change(role="lead"), anna),
        office.invite(MAX_AGAIN, anna),
        office.reset(row, anna),
    ):
        with pytest.raises(NobodyElseConfirms, match="keyturn user add"):
            await ask

    assert "proposal.opened" not in await office.accounts.kinds()


async def test_p11_a_tenants_admins_answer_for_that_tenant(office: Office) -> None:
    tim = await office.person("tim", tenant="acme")
    tina = await office.person("tina", tenant="acme")
    other = await office.person("olaf", tenant="other")
    row = await office.accounts.open("ben", tenant="acme")
    stranger = await office.accounts.open("sue", tenant="other")

    made = await office.grant(row.id, Change(role="lead"), tim)
    with pytest.raises(NotFound):
        await office.confirm(made, other)
    for ask in (
        office.grant(stranger.id, Change(role="lead"), tim),
        office.reset(stranger, tim),
    ):
        with pytest.raises(NotFound):
            await ask
    await office.confirm(made, tina)

    assert (await office.access(row)).role == "lead"


async def test_p11_an_account_opened_alone_is_an_incident_but_the_first(
    office: Office,
) -> None:
    async def opened(name: str, role: Role) -> bool:
        new = NewPerson(name=name, email=f"{name}@shop.example", role=role)
        _, is_loud = await break_glass.open_account(
            office.store, new, password_hash=HASH, by="cli:root", decides_at_once=True
        )
        return is_loud

    loud = [
        await opened("aud", "auditor"),
        await opened("max", "admin"),
        await opened("eve", "admin"),
        await opened("dev", "developer"),
    ]

    assert loud == [False, False, True, False]
    async with office.store.read() as session:
        assert await incidents.open_count(session, tenant=None) == 1
    eve = await office.of_address("eve@shop.example")
    assert eve is not None
    assert eve.approves_from is None
    assert "person.first_day_waived" in await office.accounts.kinds()


async def _at_once(*work: Awaitable[ProposalRow]) -> list[ProposalRow | KeyturnError]:
    found = await asyncio.gather(*work, return_exceptions=True)
    for one in found:
        assert isinstance(one, ProposalRow | KeyturnError), one
    return [one for one in found if isinstance(one, ProposalRow | KeyturnError)]
