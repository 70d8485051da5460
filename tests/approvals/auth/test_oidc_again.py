"""A fresh sign-in at the provider, which a token takes where there is no password."""

import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from keyturn.approvals.auth.oidc import Flow
from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import accounts
from keyturn.orchestrator.store.people.accounts import NewPerson
from keyturn.orchestrator.store.tables import PersonRow
from tests.approvals.auth.forger import Forger, forging
from tests.databases import patient
from tests.servers import oidc_provider
from tests.servers.fixtures import needed
from tests.servers.oidc_provider import Provider

HERE = "http://keyturn.test"
CALLBACK = "/sign-in/oidc/callback"
TOKENS = "/api/v1/me/tokens"
WANTED = {"name": "ci", "scopes": ["read"]}
PEOPLE: dict[str, dict[str, object]] = {
    "ann": {"email": "ann@shop.example", "email_verified": True},
    "bob": {"email": "bob@shop.example", "email_verified": True},
}


@pytest.fixture
def tables_url(sqlite_tables: str) -> str:
    """One of them: what is kept is tested on both in tests/store."""
    return sqlite_tables


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with needed(), oidc_provider.running(f"{HERE}{CALLBACK}", PEOPLE) as found:
        yield found


def _app(store: Store, issuer: str, secret: str) -> FastAPI:
    settings = Settings(
        public_url=HERE,
        oidc_issuer=issuer,
        oidc_client_id="keyturn",
        oidc_client_secret=SecretStr(secret),
    )
    return create_app(settings, store, None, Signer(new_key()))


@pytest.fixture
def app(store: Store, provider: Provider) -> FastAPI:
    return _app(store, provider.issuer, provider.secret)


async def _invite(store: Store, name: str = "ann") -> PersonRow:
    new = NewPerson(name=name, email=f"{name}@shop.example", role="lead")
    return await accounts.add(store, new, password_hash=None, by="test")


def _client(app: FastAPI) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url=HERE)


@pytest.fixture
async def http(
    app: FastAPI, store: Store, provider: Provider
) -> AsyncIterator[httpx2.AsyncClient]:
    """Ann's browser, signed in through the provider."""
    await _invite(store)
    async with _client(app) as client:
        begun = await client.get("/sign-in/oidc")
        back = await provider.sign_in(begun.headers["location"], "ann")
        await client.get(back)
        yield client


async def _csrf(http: httpx2.AsyncClient) -> dict[str, str]:
    page = (await http.get("/settings")).text
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found, page
    return {"X-CSRF-Token": found[1]}


async def _begin(http: httpx2.AsyncClient) -> str:
    answer = await http.post("/settings/confirm", headers=await _csrf(http))
    assert answer.status_code == 303
    return answer.headers["location"]


async def _again(
    http: httpx2.AsyncClient, provider: Provider, login: str = "ann"
) -> httpx2.Response:
    return await http.get(await provider.sign_in(await _begin(http), login))


async def _make(http: httpx2.AsyncClient) -> httpx2.Response:
    return await http.post(TOKENS, json=WANTED, headers=await _csrf(http))


async def test_a_session_makes_a_token_after_a_fresh_sign_in_and_one_alone(
    http: httpx2.AsyncClient, provider: Provider
) -> None:
    before = await http.get("/settings")
    bare = await _make(http)
    back = await _again(http, provider)
    shown = await http.get(back.headers["location"])
    made = await _make(http)
    second = await _make(http)

    assert "Sign in again" in before.text
    assert "What it may do" not in before.text
    assert bare.json()["type"] == "urn:keyturn:problem:not-fresh"
    assert "within five minutes" in bare.json()["detail"]
    assert back.headers["location"] == "/settings"
    assert "You signed in again" in shown.text
    assert made.status_code == 201, made.text
    assert second.status_code == 403


async def test_the_page_makes_one_as_well(
    http: httpx2.AsyncClient, provider: Provider
) -> None:
    csrf = await _csrf(http)
    form = {"name": "ci", "scope": "read"}

    bare = await http.post("/settings/tokens", data=form, headers=csrf)
    await _again(http, provider)
    made = await http.post("/settings/tokens", data=form, headers=csrf)
    page = await http.get(made.headers["location"])
    later = await http.get("/settings")

    assert bare.status_code == 422
    assert "Sign in again at" in bare.text
    assert "kt_" in page.text
    assert "You signed in again" not in later.text


async def test_the_owners_fresh_sign_in_serves_no_copy_of_the_session(
    http: httpx2.AsyncClient, app: FastAPI, provider: Provider
) -> None:
    async with _client(app) as thief:
        thief.cookies.set("keyturn", http.cookies["keyturn"])
        await _again(http, provider)

        copied = await _make(thief)

    assert copied.status_code == 403
    assert (await _make(http)).status_code == 201


async def test_somebody_else_at_the_provider_confirms_nothing(
    http: httpx2.AsyncClient, store: Store, provider: Provider
) -> None:
    await _invite(store, "bob")

    back = await _again(http, provider, "bob")
    page = await http.get(back.headers["location"])

    assert "with another identity than here" in page.text
    assert (await _make(http)).status_code == 403
    assert (await http.get("/api/v1/me")).json()["email"] == "ann@shop.example"


async def test_a_sign_in_that_was_begun_for_another_session_confirms_nothing(
    http: httpx2.AsyncClient, provider: Provider
) -> None:
    address = await _begin(http)
    kept = Flow.unpack(http.cookies["keyturn-oidc"])
    assert kept is not None
    forged = Flow(kept.state, kept.nonce, kept.verifier, "/settings", "session-other")
    http.cookies.set("keyturn-oidc", forged.pack(), domain="keyturn.test", path="/")

    back = await http.get(await provider.sign_in(address, "ann"))
    page = await http.get(back.headers["location"])

    assert "session has changed in the meantime" in page.text
    assert (await _make(http)).status_code == 403


async def test_the_settings_say_no_words_of_a_link(http: httpx2.AsyncClient) -> None:
    page = await http.get("/settings?again=Call+555-1234")

    assert "555" not in page.text


@asynccontextmanager
async def _lying(
    store: Store,
) -> AsyncGenerator[tuple[Forger, httpx2.AsyncClient]]:
    await _invite(store)
    async with forging() as forger, _client(_app(store, forger.issuer, "s")) as http:
        begun = await http.get("/sign-in/oidc")
        query = await forger.sign_in(begun.headers["location"])
        await http.get(f"{CALLBACK}?{query}")
        yield forger, http


@pytest.mark.parametrize(
    ("age_s", "words"),
    [
        (None, "does not say when you signed in"),
        (301, "did not ask you to sign in again"),
        (-120, "did not ask you to sign in again"),
        (10, "You signed in again"),
    ],
    ids=["not said", "long ago", "in the future", "just now"],
)
async def test_the_provider_has_to_say_that_it_was_just_now(
    store: Store, age_s: int | None, words: str
) -> None:
    async with _lying(store) as (forger, http):
        at = None if age_s is None else int(time.time()) - age_s
        forger.claims = {"auth_time": at}
        address = await _begin(http)
        back = await http.get(f"{CALLBACK}?{await forger.sign_in(address)}")
        page = await http.get(back.headers["location"])
        made = await _make(http)

    asked = httpx2.URL(address).params
    assert (asked["prompt"], asked["max_age"]) == ("login", "0")
    assert words in page.text
    assert made.status_code == (201 if age_s == 10 else 403)


async def test_a_fresh_sign_in_is_fresh_for_five_minutes(tables_url: str) -> None:
    late = [timedelta()]
    store = patient(tables_url, clock=lambda: datetime.now(UTC) + late[0])
    async with _lying(store) as (forger, http):
        forger.claims = {"auth_time": int(time.time())}
        await http.get(f"{CALLBACK}?{await forger.sign_in(await _begin(http))}")
        late[0] = timedelta(minutes=5)

        made = await _make(http)

    assert made.status_code == 403
    await store.close()


async def test_a_provider_that_is_away_is_said_on_the_settings(store: Store) -> None:
    async with _lying(store) as (forger, http):
        forger.answers = {"token": b"<html>"}
        address = await _begin(http)
        back = await http.get(f"{CALLBACK}?{await forger.sign_in(address)}")
        page = await http.get(back.headers["location"])

    assert back.headers["location"] == "/settings?again=refused"
    assert "answer was not valid" in page.text
