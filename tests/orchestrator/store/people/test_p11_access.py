"""P11: giving an account more takes two people, taking away one."""

import asyncio
from collections.abc import Awaitable

import pytest

from keyturn.orchestrator.rules.errors import KeyturnError, NotFound
from keyturn.orchestrator.store.approvals.eligibility import person_of
from keyturn.orchestrator.store.dual_control import requests
from keyturn.orchestrator.store.dual_control.errors import (
    NeedsSecondPerson,
    ProposalClosed,
)
from keyturn.orchestrator.store.people import access as person_access
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people.access import Access, Change
from keyturn.orchestrator.store.people.errors import OwnAccess, WouldWiden
from keyturn.orchestrator.store.tables import PersonRow, ProposalRow
from tests.databases import both
from tests.orchestrator.store.people.office import Office

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


async def _at_once(*work: Awaitable[ProposalRow]) -> list[ProposalRow | KeyturnError]:
    found = await asyncio.gather(*work, return_exceptions=True)
    for one in found:
        assert isinstance(one, ProposalRow | KeyturnError), one
    return [one for one in found if isinstance(one, ProposalRow | KeyturnError)]
