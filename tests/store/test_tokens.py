"""API tokens: scopes, ends, tokens made with tokens."""

from datetime import timedelta

import pytest

from orchestrator.errors import NotFound
from orchestrator.store import access, tokens
from orchestrator.store.tokens import Issued, NewToken, WiderThanItsToken
from tests.store.accounts import Accounts

DAY = timedelta(days=1)


async def _issue(
    accounts: Accounts, *scopes: str, days: int | None = 30, by: Issued | None = None
) -> Issued:
    if "ann" not in accounts.known:
        accounts.known["ann"] = await accounts.open("ann")
    ann = accounts.known["ann"]
    new = NewToken(name="t", scopes=scopes, ends_in=DAY * days if days else None)
    made_with = by.row.id if by else None
    return await tokens.issue(
        accounts.store, ann.id, new, by=ann.id, made_with=made_with
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


@pytest.mark.parametrize(
    "scopes", [("*",), ("approvals.decide",), ("read", "switches.set")], ids=str
)
async def test_a_token_makes_none_that_does_more(
    accounts: Accounts, scopes: tuple[str, ...]
) -> None:
    parent = await _issue(accounts, "read", "account.own")

    with pytest.raises(WiderThanItsToken):
        await _issue(accounts, *scopes, by=parent)


@pytest.mark.parametrize("days", [31, None])
async def test_a_token_makes_none_that_outlives_it(
    accounts: Accounts, days: int | None
) -> None:
    parent = await _issue(accounts, "*", days=30)

    with pytest.raises(WiderThanItsToken):
        await _issue(accounts, "read", days=days, by=parent)


async def test_a_revoked_token_takes_those_that_it_made_with_it(
    accounts: Accounts,
) -> None:
    parent = await _issue(accounts, "*")
    child = await _issue(accounts, "*", by=parent)
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
    admins = await _issue(accounts, "people.manage", days=2)
    service = await accounts.open("shop", "operator")
    new = NewToken(name="shop", scopes=("runs.start",), ends_in=30 * DAY)

    made = await tokens.issue(
        accounts.store,
        service.id,
        new,
        by=admins.row.person,
        made_with=admins.row.id,
    )

    assert await tokens.find(accounts.store, made.plain) is not None
    await tokens.revoke(accounts.store, admins.row.id, by=admins.row.person)
    assert await tokens.find(accounts.store, made.plain) is None


async def test_a_closed_account_leaves_no_token_that_it_made_for_a_service(
    accounts: Accounts,
) -> None:
    service = await accounts.open("bot")
    parent = await _issue(accounts, "read", "people.manage")
    new = NewToken(name="t", scopes=("read",))
    made = await tokens.issue(
        accounts.store, service.id, new, by="ann", made_with=parent.row.id
    )

    await access.disable(accounts.store, parent.row.person, by="ada")

    assert await tokens.find(accounts.store, made.plain) is None
    assert await tokens.find(accounts.store, parent.plain) is None
