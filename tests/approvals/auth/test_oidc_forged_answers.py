"""Signing in through an OpenID provider that lies."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.store.db.database import Store
from tests.approvals.auth import forger
from tests.approvals.auth.forger import Forger, forging
from tests.approvals.auth.oidc_sign_in import (
    CALLBACK,
    ME,
    audit_rows,
    begin,
    client_of,
    invite,
    refusal,
    settings_for,
)


@pytest.fixture
def tables_url(sqlite_tables: str) -> str:
    """One of them: who belongs to whom is tested on both in the store."""
    return sqlite_tables


@pytest.fixture
async def lying(store: Store) -> AsyncIterator[tuple[Forger, httpx2.AsyncClient]]:
    """A provider that a test tells what to say, and a browser at an app that uses it."""
    async with forging() as found:
        app = create_app(settings_for(found.issuer), store, None, Signer(new_key()))
        async with client_of(app) as http:
            yield found, http


Lying = tuple[Forger, httpx2.AsyncClient]


async def _come_back(lying: Lying) -> httpx2.Response:
    forger_, http = lying
    query = await forger_.sign_in(await begin(http))
    return await http.get(f"{CALLBACK}?{query}")


async def test_a_right_token_lets_in(lying: Lying, store: Store) -> None:
    await invite(store)

    answer = await _come_back(lying)

    assert answer.headers["location"] == "/runs"
    [asked] = lying[0].asked
    assert asked["code_verifier"]


async def test_no_role_comes_from_a_token(lying: Lying, store: Store) -> None:
    await invite(store)
    lying[0].claims = {"role": "admin", "roles": ["admin"], "groups": ["admin"]}

    await _come_back(lying)

    assert (await lying[1].get(ME)).json()["role"] == "agent"


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another-client"},
        {"aud": "another-client", "azp": forger.CLIENT},
        {"aud": ["keyturn", "another-client"]},
        {"aud": None},
        {"exp": timedelta(hours=-1)},
        {"exp": None},
        {"iat": timedelta(hours=10)},
        {"nbf": timedelta(hours=10)},
        {"iss": "https://another.example"},
        {"iss": None},
        {"sub": None},
    ],
    ids=str,
)
async def test_a_token_that_says_something_else_is_refused(
    lying: Lying, store: Store, claims: dict[str, Any]
) -> None:
    await invite(store)
    # Reckoned now: the processes of one test run must collect the same names.
    lying[0].claims = {
        name: int(time.time() + value.total_seconds())
        if isinstance(value, timedelta)
        else value
        for name, value in claims.items()
    }

    answer = await _come_back(lying)

    assert refusal(answer) == "refused"
    assert (await audit_rows(store))[-1].kind == "sign_in.failed"


@pytest.mark.parametrize("kind", ["unsigned", "public key as secret", "of a stranger"])
async def test_a_token_that_the_provider_did_not_sign_is_refused(
    lying: Lying, store: Store, kind: str
) -> None:
    await invite(store)
    lying[0].kind = kind

    assert refusal(await _come_back(lying)) == "refused"


async def test_the_provider_changes_its_keys(lying: Lying, store: Store) -> None:
    await invite(store)
    await _come_back(lying)

    lying[0].key = forger.new_key("two")

    assert (await _come_back(lying)).headers["location"] == "/runs"


@pytest.mark.parametrize(
    ("claims", "userinfo"),
    [
        ({"email_verified": "true"}, {}),
        ({"email_verified": None}, {"email_verified": True}),
        (
            {"email_verified": None, "email": None},
            {"sub": "another", "email": "ann@shop.example", "email_verified": True},
        ),
        ({"email": "ann\u212a@shop.example"}, {}),
    ],
    ids=["a word", "without subject", "of another subject", "a look-alike"],
)
async def test_an_address_that_is_not_surely_theirs_opens_nothing(
    lying: Lying, store: Store, claims: dict[str, Any], userinfo: dict[str, Any]
) -> None:
    await invite(store)
    await invite(store, "annk")
    lying[0].claims, lying[0].userinfo = claims, userinfo

    assert refusal(await _come_back(lying)) == "unverified"


MALFORMED = [
    b"",
    b"<html>",
    b"[]",
    b"null",
    b"7",
    b'"text"',
    b"{}",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"keys": 7, "id_token": {}, "access_token": [], "sub": {}}',
    b'{"keys": [7], "id_token": "a.b.c", "access_token": "t"}',
    b'{"keys": [{"kty": "RSA", "n": 1, "e": []}], "id_token": "..", "error": 3}',
    b'{"error": {"a": []}, "error_description": 7, "keys": {}}',
]


@pytest.mark.parametrize("endpoint", ["jwks", "token", "userinfo"])
async def test_a_malformed_answer_lets_nobody_in(
    lying: Lying, store: Store, endpoint: str
) -> None:
    await invite(store)
    # Without the claim, userinfo is asked.
    lying[0].claims = {"email_verified": None}

    for body in MALFORMED:
        lying[0].answers = {endpoint: body}

        answer = await _come_back(lying)

        assert answer.status_code == 303, body[:100]
        assert refusal(answer) in ("refused", "unverified", "away"), body[:100]


async def test_a_malformed_description_of_the_provider_lets_nobody_in(
    lying: Lying, store: Store
) -> None:
    await invite(store)
    forger_, http = lying
    no_endpoints = (
        b'{"issuer": []}',
        b'{"issuer": "ISSUER", "authorization_endpoint": 7, "token_endpoint": []}',
    )

    for body in (*MALFORMED, *no_endpoints):
        forger_.answers = {"discovery": body.replace(b"ISSUER", _issuer(forger_))}

        begun = await http.get("/sign-in/oidc")

        assert begun.status_code == 303, body[:100]
        assert refusal(begun) == "away", body[:100]


@pytest.mark.parametrize(
    "more",
    [
        b'"jwks_uri": "ISSUER/j", "token_endpoint_auth_methods_supported": 7',
        b'"jwks_uri": "http://[", "userinfo_endpoint": 7',
    ],
    ids=["methods", "addresses"],
)
async def test_a_description_that_is_half_right_lets_nobody_in(
    lying: Lying, store: Store, more: bytes
) -> None:
    await invite(store)
    forger_, http = lying
    body = b'{"issuer": "ISSUER", "authorization_endpoint": "ISSUER/a", '
    body += b'"token_endpoint": "ISSUER/token_endpoint", %s}' % more
    forger_.answers = {"discovery": body.replace(b"ISSUER", _issuer(forger_))}

    begun = await http.get("/sign-in/oidc")
    query = await forger_.sign_in(begun.headers["location"])
    answer = await http.get(f"{CALLBACK}?{query}")

    assert refusal(answer) in ("refused", "away")


def _issuer(forger_: Forger) -> bytes:
    return forger_.issuer.encode()
