"""P11: a password that another person chose takes two admins."""

import pytest

from keyturn.orchestrator.store.approvals.eligibility import person_of
from keyturn.orchestrator.store.dual_control.errors import (
    NeedsSecondPerson,
    ProposalClosed,
)
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people import sessions
from keyturn.orchestrator.store.people.access import Access, Change
from keyturn.orchestrator.store.people.accounts import NEW_FOR
from tests.orchestrator.store.people.office import HASH, MAX_AGAIN, OTHER_HASH, Office


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
