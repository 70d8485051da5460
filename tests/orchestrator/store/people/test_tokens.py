"""API tokens: scopes, ends, tokens made with tokens."""

from datetime import datetime, timedelta

import pytest

from keyturn.orchestrator.rules.errors import InvalidValue, NotFound
from keyturn.orchestrator.store.people import access, token_lifetime, tokens
from keyturn.orchestrator.store.people.errors import OpensNothing, WiderThanItsToken
from keyturn.orchestrator.store.people.tokens import Issued, NewToken
from keyturn.orchestrator.store.tables import TokenRow
from tests.orchestrator.store.accounts import Accounts

DAY = timedelta(days=1)


async def _issue(
    accounts: Accounts, *scopes: str, days: int | None = 7, by: Issued | None = None
) -> Issued:
    if "ann" not in accounts.known:
        accounts.known["ann"] = await accounts.open("ann")
    ann = accounts.known["ann"]
    new = NewToken(name="t", scopes=scopes, ends_in=DAY * days if days else None)
    made_with = by.row.id if by else None
    return await tokens.issue(
        accounts.store, ann.id, new, tokens.Maker(ann.id, made_with)
    )


async def test_a_token_ends(accounts: Accounts) -> None:
    made = await _issue(accounts, "read", days=2)

    accounts.clock.passes(DAY * 2 - timedelta(seconds=1))
    before = await tokens.find(accounts.store, made.plain)
    accounts.clock.passes(timedelta(seconds=1))
    after = await tokens.find(accounts.store, made.plain)

    assert before is not None
    assert after is None


async def test_the_last_use_is_kept(accounts: Accounts) -> None:
    made = await _issue(accounts, "read")
    accounts.clock.passes(DAY)

    await tokens.find(accounts.store, made.plain)

    async with accounts.store.read() as session:
        [kept] = await tokens.listing(session, made.row.person)
    assert kept.used_at == accounts.clock.now


async def test_a_token_makes_one_that_does_less(accounts: Accounts) -> None:
    parent = await _issue(accounts, "read", "account.own")

    child = await _issue(accounts, "read", days=1, by=parent)

    assert child.row.parent == parent.row.id
    assert await tokens.find(accounts.store, child.plain) is not None


@pytest.mark.parametrize("scopes", [("runs.start",), ("read", "runs.hold")], ids=str)
async def test_a_token_makes_none_that_does_more(
    accounts: Accounts, scopes: tuple[str, ...]
) -> None:
    parent = await _issue(accounts, "read", "account.own")

    with pytest.raises(WiderThanItsToken, match="may not do runs"):
        await _issue(accounts, *scopes, by=parent)


@pytest.mark.parametrize(
    "scopes", [("*",), ("approvals.decide",), ("read", "switches.set")], ids=str
)
async def test_a_token_makes_none_that_decides(
    accounts: Accounts, scopes: tuple[str, ...]
) -> None:
    parent = await _issue(accounts, "*")

    with pytest.raises(WiderThanItsToken, match="you give your password"):
        await _issue(accounts, *scopes, days=1, by=parent)


@pytest.mark.parametrize("scope", sorted(token_lifetime.DECIDING))
async def test_a_token_that_decides_ends_in_seven_days(
    accounts: Accounts, scope: str
) -> None:
    made = await _issue(accounts, "read", scope, days=None)

    accounts.clock.passes(DAY * 7 - timedelta(seconds=1))
    before = await tokens.find(accounts.store, made.plain)
    accounts.clock.passes(timedelta(seconds=1))

    assert before is not None
    assert made.row.ends_at == made.row.created_at + 7 * DAY
    with pytest.raises(OpensNothing, match="expired on 2026-01-12 09:00 UTC"):
        await tokens.use(accounts.store, made.plain)


async def test_a_token_that_decides_is_not_made_for_longer(accounts: Accounts) -> None:
    with pytest.raises(InvalidValue, match=r"approvals\.decide lives 7 days at most"):
        await _issue(accounts, "read", "approvals.decide", days=8)


async def test_a_token_of_before_that_decides_ends_seven_days_after_it_was_made(
    accounts: Accounts,
) -> None:
    """As those in a record from before there was a longest life: a year, or no end."""
    year, never = [await _issue(accounts, "read", "approvals.decide") for _ in range(2)]
    async with accounts.store.write() as session:
        for made, end in ((year, made_at(year) + 365 * DAY), (never, None)):
            row = await session.get(TokenRow, made.row.id)
            assert row is not None
            row.ends_at = end

    accounts.clock.passes(DAY * 7)

    for made in (year, never):
        with pytest.raises(OpensNothing, match=r"approvals\.decide lives no longer"):
            await tokens.use(accounts.store, made.plain)


async def test_a_services_token_lives_as_long_as_it_was_made_for(
    accounts: Accounts,
) -> None:
    service = await accounts.open("shop", kind="service")
    new = NewToken(name="t", scopes=("*",), tenants=("default",), ends_in=365 * DAY)
    made = await tokens.issue(accounts.store, service.id, new, tokens.Maker("ada"))

    accounts.clock.passes(DAY * 364)

    assert await tokens.find(accounts.store, made.plain) is not None


def made_at(made: Issued) -> datetime:
    return made.row.created_at


@pytest.mark.parametrize("days", [8, None])
async def test_a_token_makes_none_that_outlives_it(
    accounts: Accounts, days: int | None
) -> None:
    parent = await _issue(accounts, "read", "account.own", days=7)

    with pytest.raises(WiderThanItsToken):
        await _issue(accounts, "read", days=days, by=parent)


async def test_a_revoked_token_takes_those_that_it_made_with_it(
    accounts: Accounts,
) -> None:
    parent = await _issue(accounts, "*")
    child = await _issue(accounts, "read", "account.own", by=parent)
    grandchild = await _issue(accounts, "read", by=child)
    other = await _issue(accounts, "*")

    await tokens.revoke(accounts.store, parent.row.id, by=parent.row.person)

    for gone in (parent, child, grandchild):
        assert await tokens.find(accounts.store, gone.plain) is None
    assert await tokens.find(accounts.store, other.plain) is not None
    with pytest.raises(NotFound):
        await _issue(accounts, "read", by=parent)


async def test_nobody_revokes_anothers_token(accounts: Accounts) -> None:
    made = await _issue(accounts, "read")
    ben = await accounts.open("ben")

    with pytest.raises(NotFound):
        await tokens.revoke(accounts.store, made.row.id, by=ben.id, person=ben.id)

    assert await tokens.find(accounts.store, made.plain) is not None


async def test_a_services_token_goes_with_the_admins_that_made_it(
    accounts: Accounts,
) -> None:
    admins = await _issue(accounts, "people.manage", "runs.start", days=2)
    service = await accounts.open("shop", "operator")
    new = NewToken(name="shop", scopes=("runs.start",), ends_in=2 * DAY)

    made = await tokens.issue(
        accounts.store,
        service.id,
        new,
        tokens.Maker(admins.row.person, admins.row.id),
    )

    assert await tokens.find(accounts.store, made.plain) is not None
    await tokens.revoke(accounts.store, admins.row.id, by=admins.row.person)
    assert await tokens.find(accounts.store, made.plain) is None


async def test_a_closed_account_leaves_no_token_that_it_made_for_a_service(
    accounts: Accounts,
) -> None:
    service = await accounts.open("bot")
    parent = await _issue(accounts, "read", "people.manage")
    new = NewToken(name="t", scopes=("read",), ends_in=DAY)
    made = await tokens.issue(
        accounts.store, service.id, new, tokens.Maker("ann", parent.row.id)
    )

    await access.disable(accounts.store, parent.row.person, by="ada")

    assert await tokens.find(accounts.store, made.plain) is None
    assert await tokens.find(accounts.store, parent.plain) is None
