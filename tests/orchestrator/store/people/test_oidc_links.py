"""Whose account an identity of an OpenID provider is."""

import asyncio

import pytest

from keyturn.orchestrator.store.people import access, oidc_links
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people.errors import NoAccountFor
from keyturn.orchestrator.store.tables import PersonRow
from tests.databases import both
from tests.orchestrator.store.accounts import Accounts

ISSUER = "https://id.example"
EMAIL = "ann@shop.example"


async def _find(
    accounts: Accounts, subject: str, *, email: str | None = EMAIL, issuer: str = ISSUER
) -> PersonRow:
    return await oidc_links.find(
        accounts.store, issuer=issuer, subject=subject, email=email
    )


async def test_an_identity_is_linked_once_and_found_without_its_address(
    accounts: Accounts,
) -> None:
    ann = await accounts.open("ann")

    first = await _find(accounts, "s1", email=EMAIL.upper())
    second = await _find(accounts, "s1", email=None)

    assert (first.id, second.id) == (ann.id, ann.id)
    assert (await accounts.kinds()).count("person.linked") == 1


async def test_the_same_subject_of_another_issuer_is_somebody_else(
    accounts: Accounts,
) -> None:
    await accounts.open("ann")
    await _find(accounts, "s1")

    with pytest.raises(NoAccountFor) as refused:
        await _find(accounts, "s1", issuer="https://other.example")

    assert refused.value.why == "taken"


@both
async def test_of_two_identities_at_once_one_gets_the_account(
    accounts: Accounts,
) -> None:
    await accounts.open("ann")

    found = await asyncio.gather(
        *(_find(accounts, f"s{number}") for number in range(5)), return_exceptions=True
    )

    assert sum(isinstance(one, PersonRow) for one in found) == 1
    assert sum(isinstance(one, NoAccountFor) for one in found) == 4


async def test_an_account_with_a_password_is_somebodys(accounts: Accounts) -> None:
    ann = await accounts.open("ann")
    await person_accounts.set_password(
        accounts.store, ann.id, password_hash=EMAIL, by="test"
    )

    with pytest.raises(NoAccountFor) as refused:
        await _find(accounts, "s1")
    await access.remove_password(accounts.store, ann.id, by="an-admin")
    found = await _find(accounts, "s1")

    assert refused.value.why == "password"
    assert found.id == ann.id


async def test_a_closed_account_is_found_closed(accounts: Accounts) -> None:
    ann = await accounts.open("ann")
    await _find(accounts, "s1")
    await access.disable(accounts.store, ann.id, by="test")

    with pytest.raises(NoAccountFor) as refused:
        await _find(accounts, "s1")

    assert refused.value.why == "closed"
