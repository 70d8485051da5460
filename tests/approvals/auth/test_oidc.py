"""Signing in through a real OpenID provider."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from keyturn.approvals.auth import accounts, oidc
from keyturn.approvals.auth.oidc import Flow
from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.settings import Settings, SettingsError
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import access
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people.accounts import NewPerson
from tests.approvals.auth.oidc_sign_in import (
    CALLBACK,
    HERE,
    ME,
    audit_rows,
    begin,
    client_of,
    invite,
    refusal,
    settings_for,
)
from tests.approvals.people import PASSWORD
from tests.servers import oidc_provider
from tests.servers.fixtures import needed
from tests.servers.oidc_provider import Provider

COOKIE = "keyturn-oidc"
PEOPLE: dict[str, dict[str, object]] = {
    "ann": {"email": "ann@shop.example", "email_verified": True},
    "eve": {"email": "ann@shop.example", "email_verified": False},
    "bob": {"email": "ann@shop.example", "email_verified": True},
}


@pytest.fixture
def tables_url(sqlite_tables: str) -> str:
    """One of them: who belongs to whom is tested on both in the store."""
    return sqlite_tables


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with needed(), oidc_provider.running(f"{HERE}{CALLBACK}", PEOPLE) as found:
        yield found


@pytest.fixture
def app(store: Store, provider: Provider) -> FastAPI:
    settings = settings_for(provider.issuer, provider.secret)
    return create_app(settings, store, None, Signer(new_key()))


async def _sign_in(
    http: httpx2.AsyncClient, provider: Provider, login: str = "ann", **more: str
) -> httpx2.Response:
    back = await provider.sign_in(await begin(http, **more), login)
    return await http.get(back)


async def test_an_invited_person_comes_in_and_is_known_from_then_on(
    http: httpx2.AsyncClient, store: Store, provider: Provider
) -> None:
    ann = await invite(store)

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
    kinds = [one.kind for one in await audit_rows(store)]
    assert kinds.count("person.linked") == 1
    assert kinds.count("session.began") == 2


async def test_the_sign_in_page_offers_it(http: httpx2.AsyncClient) -> None:
    page = await http.get("/sign-in?next=/runs", headers={"Accept": "text/html"})

    assert 'href="/sign-in/oidc?next=/runs"' in page.text


@pytest.mark.parametrize("wanted", ["https://evil.example", "//evil.example", "/\\e"])
async def test_it_leads_nowhere_else(
    http: httpx2.AsyncClient, store: Store, provider: Provider, wanted: str
) -> None:
    await invite(store)

    answer = await _sign_in(http, provider, wanted=wanted)

    assert answer.headers["location"] == "/inbox"


async def test_a_session_begun_elsewhere_lets_nobody_in(
    app: FastAPI, http: httpx2.AsyncClient, store: Store, provider: Provider
) -> None:
    await invite(store)
    back = await provider.sign_in(await begin(http), "ann")

    async with client_of(app) as other:
        without_cookie = await other.get(back)
        await begin(other)
        with_another = await other.get(back)

    assert refusal(without_cookie) == "refused"
    assert refusal(with_another) == "refused"
    assert (await http.get(back)).headers["location"] == "/runs"


async def test_a_code_works_once(
    http: httpx2.AsyncClient, store: Store, provider: Provider
) -> None:
    await invite(store)
    back = await provider.sign_in(await begin(http), "ann")
    flow = http.cookies[COOKIE]
    await http.get(back)

    replayed = await http.get(back)
    http.cookies.clear()
    http.cookies.set(COOKIE, flow)
    with_cookie = await http.get(back)

    assert refusal(replayed) == "refused"
    assert refusal(with_cookie) == "refused"


async def test_a_stolen_code_is_worth_nothing_without_its_verifier(
    http: httpx2.AsyncClient, store: Store, provider: Provider
) -> None:
    await invite(store)
    back = await provider.sign_in(await begin(http), "ann")
    flow = Flow.unpack(http.cookies[COOKIE])
    assert flow is not None
    other = Flow(flow.state, flow.nonce, "v" * 64, flow.wanted)
    http.cookies.clear()
    http.cookies.set(COOKIE, other.pack())

    answer = await http.get(back)

    assert refusal(answer) == "refused"


async def test_an_address_that_was_not_verified_opens_nothing(
    http: httpx2.AsyncClient, store: Store, provider: Provider
) -> None:
    await invite(store)

    answer = await _sign_in(http, provider, "eve")

    assert refusal(answer) == "unverified"
    assert (await http.get(ME)).status_code == 401


async def test_an_account_with_a_password_is_not_taken_over(
    http: httpx2.AsyncClient, store: Store, provider: Provider
) -> None:
    ann = await invite(store)
    await accounts.set_password(store, ann.id, PASSWORD, by="test")

    answer = await _sign_in(http, provider)

    assert refusal(answer) == "password"
    [failed] = [one for one in await audit_rows(store) if one.kind == "sign_in.failed"]
    assert failed.subject == ann.id


async def test_a_second_identity_does_not_take_an_account_over(
    http: httpx2.AsyncClient, store: Store, provider: Provider
) -> None:
    await invite(store)
    await _sign_in(http, provider, "ann")
    http.cookies.clear()

    answer = await _sign_in(http, provider, "bob")

    assert refusal(answer) == "taken"


async def test_nobody_without_an_account_comes_in(
    http: httpx2.AsyncClient, provider: Provider
) -> None:
    assert refusal(await _sign_in(http, provider)) == "unknown"


async def test_a_closed_account_stays_out(
    http: httpx2.AsyncClient, store: Store, provider: Provider
) -> None:
    ann = await invite(store)
    await _sign_in(http, provider)
    await access.disable(store, ann.id, by="test")

    answer = await _sign_in(http, provider)

    assert refusal(answer) == "closed"


async def test_a_service_does_not_sign_in(
    http: httpx2.AsyncClient, store: Store, provider: Provider
) -> None:
    await invite(store, kind="service")

    assert refusal(await _sign_in(http, provider)) == "closed"


async def test_what_was_denied_at_the_provider_is_said(
    http: httpx2.AsyncClient,
) -> None:
    address = httpx2.URL(await begin(http))
    back = f"{CALLBACK}?error=access_denied&state={address.params['state']}"

    answer = await http.get(back)
    page = await http.get(answer.headers["location"])

    assert refusal(answer) == "refused"
    assert "answer was not valid" in page.text


async def test_a_provider_that_is_away_is_said(store: Store) -> None:
    settings = settings_for("http://127.0.0.1:9")
    app = create_app(settings, store, None, Signer(new_key()))
    async with client_of(app) as http:
        begun = await http.get("/sign-in/oidc")
        http.cookies.set(COOKIE, Flow("s", "n", "v", "/runs").pack())
        back = await http.get(f"{CALLBACK}?code=c&state=s")
        page = await http.get(begun.headers["location"])

    assert (refusal(begun), refusal(back)) == ("away", "away")
    assert page.status_code == 200
    assert "does not answer" in page.text


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
        settings = settings_for(f"http://127.0.0.1:{port}")
        app = create_app(settings, store, None, Signer(new_key()))
        async with client_of(app) as http:
            begun = await http.get("/sign-in/oidc")
        await hung_up.wait()

    assert refusal(begun) == "away"


async def test_without_settings_there_is_no_such_page(store: Store) -> None:
    app = create_app(Settings(), store, None, Signer(new_key()))
    async with client_of(app) as http:
        answers = [await http.get("/sign-in/oidc"), await http.get(CALLBACK)]
        page = await http.get("/sign-in")

    assert [refusal(one) for one in answers] == ["off", "off"]
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
def test_half_a_setting_is_refused_at_the_start(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="KEYTURN_OIDC_ISSUER"):
        create_app(
            Settings(**settings),
            Store(f"sqlite+aiosqlite:///{tmp_path / 'unused'}"),
            None,
            Signer(new_key()),
        )
