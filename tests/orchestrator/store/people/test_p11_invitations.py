"""P11: opening an account that may decide takes two people."""

import asyncio

import pytest

from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.policy.rules import Role
from keyturn.orchestrator.store.dual_control import break_glass, requests
from keyturn.orchestrator.store.dual_control.errors import (
    NeedsSecondPerson,
    NobodyElseConfirms,
    ProposalClosed,
)
from keyturn.orchestrator.store.incidents import incidents
from keyturn.orchestrator.store.people import access as person_access
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people.access import Change
from keyturn.orchestrator.store.people.accounts import NEW_FOR, NewPerson
from keyturn.orchestrator.store.people.errors import EmailTaken, WouldWiden
from keyturn.orchestrator.store.tables import PersonRow, ProposalRow
from tests.databases import both
from tests.orchestrator.store.people.office import HASH, MAX_AGAIN, Office


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

    with pytest.raises(ProposalClosed, match="was opened since"):
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
