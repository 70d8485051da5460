"""What an account may do: given, changed and taken away."""

import asyncio
from datetime import timedelta

import pytest

from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.store.people import access, sessions, tokens
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people.access import Access, Change
from keyturn.orchestrator.store.people.errors import LastAdmin, OwnAccess
from keyturn.orchestrator.store.tables import PersonRow
from tests.databases import both
from tests.orchestrator.store.accounts import Accounts

DAY = timedelta(days=1)
OTHER = "who proposed it"
HASH = "a hash"


async def give(accounts: Accounts, row: PersonRow, change: Change, *, by: str) -> None:
    """Give more, as two people's confirmation does."""
    async with accounts.store.write() as session:
        found = await access.lock(session, row.id, managed=None)
        await session.read_clock()
        await access.grant(session, found, change.of(found), by=by, proposed_by=OTHER)


async def test_a_new_role_is_recorded_with_the_old_one(accounts: Accounts) -> None:
    max_, ann = await accounts.open("max", "admin"), await accounts.open("ann")

    await give(accounts, ann, Change(role="lead"), by=max_.id)

    assert (await accounts.read(ann)).role == "lead"
    last = (await accounts.log())[-1]
    assert (last.actor, last.kind, last.subject) == (
        max_.id,
        "person.access_changed",
        ann.id,
    )
    assert '"role":"agent"' in last.payload
    assert '"role":"lead"' in last.payload


async def test_the_same_role_again_is_no_change(accounts: Accounts) -> None:
    ann = await accounts.open("ann")

    await access.change(accounts.store, ann.id, Change(role="agent"), by="test")

    assert await accounts.kinds() == ["person.added"]


async def test_nobody_changes_their_own_role(accounts: Accounts) -> None:
    await accounts.open("eva", "admin")
    max_ = await accounts.open("max", "admin")

    for wanted in (Change(role="lead"), Change(is_open=False)):
        with pytest.raises(OwnAccess):
            await access.change(accounts.store, max_.id, wanted, by=max_.id)

    assert access.of(await accounts.read(max_)) == Access(role="admin")


@pytest.mark.parametrize(
    "wanted",
    [
        Change(role="agent"),
        Change(tenant="acme"),
        Change(is_open=False),
    ],
    ids=["another role", "one tenant", "closed"],
)
async def test_the_last_admin_stays(accounts: Accounts, wanted: Change) -> None:
    max_ = await accounts.open("max", "admin")
    await accounts.open("tim", "admin", tenant="acme")

    with pytest.raises(LastAdmin):
        await access.change(accounts.store, max_.id, wanted, by="somebody")

    assert access.of(await accounts.read(max_)) == Access(role="admin")


async def test_a_tenants_only_admin_may_go_while_somebody_manages_all(
    accounts: Accounts,
) -> None:
    max_ = await accounts.open("max", "admin")
    tim = await accounts.open("tim", "admin", tenant="acme")

    await access.disable(accounts.store, tim.id, by=max_.id)

    assert (await accounts.read(tim)).disabled_at is not None


@both
async def test_two_admins_who_close_each_other_leave_one(accounts: Accounts) -> None:
    for number in range(10):
        one = await accounts.open(f"one{number}", "admin", tenant=f"t{number}")
        two = await accounts.open(f"two{number}", "admin", tenant=f"t{number}")

        found = await asyncio.gather(
            access.disable(accounts.store, one.id, by=two.id),
            access.disable(accounts.store, two.id, by=one.id),
            return_exceptions=True,
        )

        assert [type(each) for each in found].count(PersonRow) == 1
        assert LastAdmin in [type(each) for each in found]


async def test_a_tenants_admin_reaches_no_other_tenants_people(
    accounts: Accounts,
) -> None:
    ann = await accounts.open("ann", tenant="here")
    everywhere = await accounts.open("eva")

    for one in (ann, everywhere):
        with pytest.raises(NotFound):
            await access.disable(accounts.store, one.id, by="x", managed="there")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Access(role="operator"), Change(role="agent")),
        (Access(role="agent"), Change(role="lead")),
        (Access(role="agent", tenant="here"), Change(tenant=None)),
        (Access(role="agent", tenant="here"), Change(tenant="there")),
    ],
    ids=["an approver", "a higher one", "of every tenant", "of another tenant"],
)
async def test_who_may_decide_more_only_looks_for_a_day(
    accounts: Accounts, before: Access, after: Change
) -> None:
    ann = await accounts.open("ann", before.role, tenant=before.tenant)
    accounts.clock.passes(DAY * 2)

    await give(accounts, ann, after, by="test")

    found = await accounts.read(ann)
    assert found.approves_from == accounts.clock.now + DAY


async def test_who_may_decide_less_goes_on(accounts: Accounts) -> None:
    lea = await accounts.open("lea", "lead")
    before = (await accounts.read(lea)).approves_from

    await access.change(accounts.store, lea.id, Change(role="agent"), by="test")

    assert (await accounts.read(lea)).approves_from == before


async def test_a_closed_account_keeps_nothing_that_opens_it(
    accounts: Accounts,
) -> None:
    ann = await accounts.open("ann")
    opened = await sessions.begin(accounts.store, ann, instead_of=None)
    token = await tokens.create(accounts.store, ann.id, name="t", by=ann.id)
    await access.disable(accounts.store, ann.id, by="test")

    await give(accounts, ann, Change(is_open=True), by="test")

    assert await sessions.find(accounts.store, opened.cookie) is None
    assert await tokens.find(accounts.store, token) is None
    assert (await accounts.kinds())[-2:] == ["person.disabled", "person.enabled"]


async def test_whose_password_another_chose_only_looks_for_a_day(
    accounts: Accounts,
) -> None:
    max_, lea = await accounts.open("max", "admin"), await accounts.open("lea", "lead")
    opened = await sessions.begin(accounts.store, lea, instead_of=None)
    accounts.clock.passes(DAY * 2)

    async with accounts.store.write() as session:
        await session.read_clock()
        await access.reset_password(
            session,
            await access.lock(session, lea.id, managed=None),
            password_hash=HASH,
            by=max_.id,
            proposed_by=OTHER,
        )

    assert (await accounts.read(lea)).approves_from == accounts.clock.now + DAY
    assert await sessions.find(accounts.store, opened.cookie) is None
    assert (await accounts.kinds())[-1] == "person.password_reset"


async def test_a_password_is_taken_away_at_once(accounts: Accounts) -> None:
    max_, lea = await accounts.open("max", "admin"), await accounts.open("lea", "lead")
    await person_accounts.set_password(
        accounts.store, lea.id, password_hash=HASH, by=lea.id
    )
    accounts.clock.passes(DAY * 2)

    await access.remove_password(accounts.store, lea.id, by=max_.id)

    found = await accounts.read(lea)
    assert found.password_hash is None
    assert found.approves_from == accounts.clock.now + DAY
    assert (await accounts.kinds())[-1] == "person.password_removed"
