"""Signing in through a real OpenID provider, and through one that lies."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlmodel import col, select

from keyturn.approvals.auth import accounts, oidc
from keyturn.approvals.auth.oidc import Flow
from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.settings import Settings, SettingsError
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import access
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people.accounts import NewPerson
from keyturn.orchestrator.store.tables import AuditRow, PersonRow
from tests.approvals.auth import forger
from tests.approvals.auth.forger import Forger, forging
from tests.approvals.people import PASSWORD
from tests.servers import oidc_provider
from tests.servers.fixtures import needed
from tests.servers.oidc_provider import Provider

HERE = "http://keyturn.test"
CALLBACK = "/sign-in/oidc/callback"
ME = "/api/v1/me"
COOKIE = "keyturn-oidc"
PEOPLE: dict[str, dict[str, object]] = {
    "ann": {"email": "ann@shop.example", "email_verified": True},
    "eve": {"email": "ann@shop.example", "email_verified": False},
    "bob": {"email": "ann@shop.example", "email_verified": True},
}


@pytest.fixture
def tables_url(sqlite_tables: str) -> str:
    """One of them: who belongs to whom is tested on both in tests/store."""
    return sqlite_tables


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with needed(), oidc_provider.running(f"{HERE}{CALLBACK}", PEOPLE) as found:
        yield found


def _settings(issuer: str, secret: str = "s") -> Settings:  # noqa: S107 of nobody
    return Settings(
        public_url=HERE,
        oidc_issuer=issuer,
        oidc_client_id="keyturn",
        oidc_client_secret=SecretStr(secret),
    )


def _client(app: FastAPI) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url=HERE)


@pytest.fixture
def app(store: Store, provider: Provider) -> FastAPI:
    settings = _settings(provider.issuer, provider.secret)
    return create_app(settings, store, None, Signer(new_key()))


@pytest.fixture
async def lying(store: Store) -> AsyncIterator[tuple[Forger, httpx2.AsyncClient]]:
    """A provider that a test tells what to say, and a browser at an app that uses it."""
    async with forging() as found:
        app = create_app(_settings(found.issuer), store, None, Signer(new_key()))
        async with _client(app) as http:
            yield found, http


async def _invite(store: Store, name: str = "ann", **more: str) -> PersonRow:
    fields = {"name": name, "email": f"{name}@shop.example", "role": "agent", **more}
    new = NewPerson.model_validate(fields)
    return await person_accounts.add(store, new, password_hash=None, by="test")


async def _begin(http: httpx2.AsyncClient, wanted: str = "/runs") -> str:
    answer = await http.get("/sign-in/oidc", params={"next": wanted})
    assert answer.status_code == 303
    return answer.headers["location"]


async def _sign_in(
    http: httpx2.AsyncClient, provider: Provider, login: str = "ann", **more: str
) -> httpx2.Response:
    back = await provider.sign_in(await _begin(http, **more), login)
    return await http.get(back)


def _why(answer: httpx2.Response) -> str:
    """The name of what went wrong, as the sign-in page is told."""
    assert answer.status_code == 303
    assert "keyturn=" not in answer.headers.get("set-cookie", "")
    query = httpx2.URL(answer.headers["location"]).params
    return query["error"]


async def _log(store: Store) -> list[AuditRow]:
    async with store.read() as session:
        query = select(AuditRow).order_by(col(AuditRow.id))
        return list((await session.execute(query)).scalars())


async def test_an_invited_person_comes_in_and_is_known_from_then_on(
    http: httpx2.AsyncClient, store: Store, provider: Provider
) -> None:
    ann = await _invite(store)

    first = await _sign_in(http, provider)
    me = (await http.get(ME)).json()
    await person_accounts.add(
        store,
        NewPerson(name="New", email="new@shop.example", role="admin"),
        password_hash=None,
        by="test",
    )
    async with store.write() as session:
        row = await person_accounts.get(session, ann.id)
        row.email = "ann.moved@shop.example"
    http.cookies.clear()
    second = await _sign_in(http, provider)

    assert (first.headers["location"], second.headers["location"]) == ("/runs", "/runs")
    assert (me["id"], me["role"]) == (ann.id, "agent")
    assert (await http.get(ME)).json()["id"] == ann.id
    kinds = [one.kind for one in await _log(store)]
    assert kinds.count("person.linked") == 1
    assert kinds.count("session.began") == 2


async def test_the_sign_in_page_offers_it(http: httpx2.AsyncClient) -> None:
    page = await http.get("/sign-in?next=/runs", headers={"Accept": "text/html"})

    assert 'href="/sign-in/oidc?next=/runs"' in page.text


@pytest.mark.parametrize("wanted", ["https://evil.example", "//evil.example", "/\\e"])
async def test_it_leads_nowhere_else(
    http: httpx2.AsyncClient, store: Store, provider: Provider, wanted: str
) -> None:
    await _invite(store)

    answer = await _sign_in(http, provider, wanted=wanted)

    assert answer.headers["location"] == "/inbox"


async def test_a_session_begun_elsewhere_lets_nobody_in(
    app: FastAPI, http: httpx2.AsyncClient, store: Store, provider: Provider
) -> None:
    await _invite(store)
    back = await provider.sign_in(await _begin(http), "ann")

    async with _client(app) as other:
        without_cookie = await other.get(back)
        await _begin(other)
        with_another = await other.get(back)

    assert _why(without_cookie) == "refused"
    assert _why(with_another) == "refused"
    assert (await http.get(back)).headers["location"] == "/runs"


async def test_a_code_works_once(
    http: httpx2.AsyncClient, store: Store, provider: Provider
) -> None:
    await _invite(store)
    back = await provider.sign_in(await _begin(http), "ann")
    flow = http.cookies[COOKIE]
    await http.get(back)

    replayed = await http.get(back)
    http.cookies.clear()
    http.cookies.set(COOKIE, flow)
    with_cookie = await http.get(back)

    assert _why(replayed) == "refused"
    assert _why(with_cookie) == "refused"


async def test_a_stolen_code_is_worth_nothing_without_its_verifier(
    http: httpx2.AsyncClient, store: Store, provider: Provider
) -> None:
    await _invite(store)
    back = await provider.sign_in(await _begin(http), "ann")
    flow = Flow.unpack(http.cookies[COOKIE])
    assert flow is not None
    other = Flow(flow.state, flow.nonce, "v" * 64, flow.wanted)
    http.cookies.clear()
    http.cookies.set(COOKIE, other.pack())

    answer = await http.get(back)

    assert _why(answer) == "refused"


async def test_an_address_that_was_not_verified_opens_nothing(
    http: httpx2.AsyncClient, store: Store, provider: Provider
) -> None:
    await _invite(store)

    answer = await _sign_in(http, provider, "eve")

    assert _why(answer) == "unverified"
    assert (await http.get(ME)).status_code == 401


async def test_an_account_with_a_password_is_not_taken_over(
    http: httpx2.AsyncClient, store: Store, provider: Provider
) -> None:
    ann = await _invite(store)
    await accounts.set_password(store, ann.id, PASSWORD, by="test")

    answer = await _sign_in(http, provider)

    assert _why(answer) == "password"
    [failed] = [one for one in await _log(store) if one.kind == "sign_in.failed"]
    assert failed.subject == ann.id


async def test_a_second_identity_does_not_take_an_account_over(
    http: httpx2.AsyncClient, store: Store, provider: Provider
) -> None:
    await _invite(store)
    await _sign_in(http, provider, "ann")
    http.cookies.clear()

    answer = await _sign_in(http, provider, "bob")

    assert _why(answer) == "taken"


async def test_nobody_without_an_account_comes_in(
    http: httpx2.AsyncClient, provider: Provider
) -> None:
    assert _why(await _sign_in(http, provider)) == "unknown"


async def test_a_closed_account_stays_out(
    http: httpx2.AsyncClient, store: Store, provider: Provider
) -> None:
    ann = await _invite(store)
    await _sign_in(http, provider)
    await access.disable(store, ann.id, by="test")

    answer = await _sign_in(http, provider)

    assert _why(answer) == "closed"


async def test_a_service_does_not_sign_in(
    http: httpx2.AsyncClient, store: Store, provider: Provider
) -> None:
    await _invite(store, kind="service")

    assert _why(await _sign_in(http, provider)) == "closed"


async def test_what_was_denied_at_the_provider_is_said(
    http: httpx2.AsyncClient,
) -> None:
    address = httpx2.URL(await _begin(http))
    back = f"{CALLBACK}?error=access_denied&state={address.params['state']}"

    answer = await http.get(back)
    page = await http.get(answer.headers["location"])

    assert _why(answer) == "refused"
    assert "could not be used" in page.text


async def test_a_provider_that_is_away_is_said(store: Store) -> None:
    settings = _settings("http://127.0.0.1:9")
    app = create_app(settings, store, None, Signer(new_key()))
    async with _client(app) as http:
        begun = await http.get("/sign-in/oidc")
        http.cookies.set(COOKIE, Flow("s", "n", "v", "/runs").pack())
        back = await http.get(f"{CALLBACK}?code=c&state=s")
        page = await http.get(begun.headers["location"])

    assert (_why(begun), _why(back)) == ("away", "away")
    assert page.status_code == 200
    assert "does not answer now" in page.text


async def test_a_provider_that_answers_by_the_byte_is_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No single read takes long; the sign-in would have waited for days."""
    monkeypatch.setattr(oidc, "IN_ALL_S", 0.5)
    hung_up = asyncio.Event()

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while not writer.is_closing():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.transport.abort()
        hung_up.set()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = _settings(f"http://127.0.0.1:{port}")
        app = create_app(settings, store, None, Signer(new_key()))
        async with _client(app) as http:
            begun = await http.get("/sign-in/oidc")
        await hung_up.wait()

    assert _why(begun) == "away"


async def test_without_settings_there_is_no_such_page(store: Store) -> None:
    app = create_app(Settings(), store, None, Signer(new_key()))
    async with _client(app) as http:
        answers = [await http.get("/sign-in/oidc"), await http.get(CALLBACK)]
        page = await http.get("/sign-in")

    assert [_why(one) for one in answers] == ["off", "off"]
    assert "oidc" not in page.text


@pytest.mark.parametrize(
    "settings",
    [
        {"oidc_issuer": "https://id.example"},
        {"oidc_issuer": "https://id.example", "oidc_client_id": "k"},
        {"oidc_client_secret": "x"},
        {"oidc_issuer": "http://id.example", "oidc_client_id": "k", "public_url": HERE},
    ],
    ids=["no client", "no public address", "a secret alone", "not https"],
)
def test_half_a_setting_is_refused_at_the_start(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="KEYTURN_OIDC_ISSUER"):
        create_app(
            Settings(**settings),
            Store("sqlite+aiosqlite:///unused"),
            None,
            Signer(new_key()),
        )


Lying = tuple[Forger, httpx2.AsyncClient]


async def _come_back(lying: Lying) -> httpx2.Response:
    forger_, http = lying
    query = await forger_.sign_in(await _begin(http))
    return await http.get(f"{CALLBACK}?{query}")


async def test_a_right_token_lets_in(lying: Lying, store: Store) -> None:
    await _invite(store)

    answer = await _come_back(lying)

    assert answer.headers["location"] == "/runs"
    [asked] = lying[0].asked
    assert asked["code_verifier"]


async def test_no_role_comes_from_a_token(lying: Lying, store: Store) -> None:
    await _invite(store)
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
    await _invite(store)
    # Reckoned now: the processes of one test run must collect the same names.
    lying[0].claims = {
        name: int(time.time() + value.total_seconds())
        if isinstance(value, timedelta)
        else value
        for name, value in claims.items()
    }

    answer = await _come_back(lying)

    assert _why(answer) == "refused"
    assert (await _log(store))[-1].kind == "sign_in.failed"


@pytest.mark.parametrize("kind", ["unsigned", "public key as secret", "of a stranger"])
async def test_a_token_that_the_provider_did_not_sign_is_refused(
    lying: Lying, store: Store, kind: str
) -> None:
    await _invite(store)
    lying[0].kind = kind

    assert _why(await _come_back(lying)) == "refused"


async def test_the_provider_changes_its_keys(lying: Lying, store: Store) -> None:
    await _invite(store)
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
    await _invite(store)
    await _invite(store, "annk")
    lying[0].claims, lying[0].userinfo = claims, userinfo

    assert _why(await _come_back(lying)) == "unverified"


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
    await _invite(store)
    # Without the claim, userinfo is asked.
    lying[0].claims = {"email_verified": None}

    for body in MALFORMED:
        lying[0].answers = {endpoint: body}

        answer = await _come_back(lying)

        assert answer.status_code == 303, body[:100]
        assert _why(answer) in ("refused", "unverified", "away"), body[:100]


async def test_a_malformed_description_of_the_provider_lets_nobody_in(
    lying: Lying, store: Store
) -> None:
    await _invite(store)
    forger_, http = lying
    no_endpoints = (
        b'{"issuer": []}',
        b'{"issuer": "ISSUER", "authorization_endpoint": 7, "token_endpoint": []}',
    )

    for body in (*MALFORMED, *no_endpoints):
        forger_.answers = {"discovery": body.replace(b"ISSUER", _issuer(forger_))}

        begun = await http.get("/sign-in/oidc")

        assert begun.status_code == 303, body[:100]
        assert _why(begun) == "away", body[:100]


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
    await _invite(store)
    forger_, http = lying
    body = b'{"issuer": "ISSUER", "authorization_endpoint": "ISSUER/a", '
    body += b'"token_endpoint": "ISSUER/token_endpoint", %s}' % more
    forger_.answers = {"discovery": body.replace(b"ISSUER", _issuer(forger_))}

    begun = await http.get("/sign-in/oidc")
    query = await forger_.sign_in(begun.headers["location"])
    answer = await http.get(f"{CALLBACK}?{query}")

    assert _why(answer) in ("refused", "away")


def _issuer(forger_: Forger) -> bytes:
    return forger_.issuer.encode()
