"""Requests that no page of ours makes: answered, and nothing gained by them."""

import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from keyturn.approvals.auth.oidc import Flow
from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import sessions, tokens
from keyturn.orchestrator.store.people.tokens import NewToken
from tests.approvals import scraper
from tests.approvals.desk import Desk
from tests.approvals.people import PASSWORD, People
from tests.databases import patient

HOME = "http://keyturn.test"
BROWSER = {"origin": HOME, "accept": "text/html"}
FORM = {"email": "ann@shop.example", "password": PASSWORD}


@pytest.mark.parametrize("origin", ["http://[", "//", "http://keyturn.test.evil", "x"])
async def test_an_origin_that_is_none_is_another_site(
    http: httpx2.AsyncClient, people: People, origin: str
) -> None:
    await people.named("ann", password=PASSWORD)

    answer = await http.post("/sign-in", data=FORM, headers={"origin": origin})

    assert answer.status_code == 403
    assert "keyturn" not in http.cookies


@pytest.mark.parametrize(("scheme", "status"), [("http", 403), ("https", 303)])
async def test_over_https_a_page_of_http_is_another_site(
    store: Store, people: People, scheme: str, status: int
) -> None:
    await people.named("ann", password=PASSWORD)
    settings = Settings(public_url="https://keyturn.example")
    app = create_app(settings, store, None, Signer(new_key()))
    origin = {"origin": f"{scheme}://keyturn.example"}

    # As a proxy that ends TLS passes it on.
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url="http://keyturn.example"
    ) as http:
        answer = await http.post("/sign-in", data=FORM, headers=origin)

    assert answer.status_code == status


async def test_no_address_leads_to_the_host_that_a_request_names(
    http: httpx2.AsyncClient,
) -> None:
    for path in ("/inbox/", "/runs/?x=1", "/api/v1/runs/"):
        answer = await http.get(path, headers={"host": "evil.example"})

        assert "evil" not in answer.headers.get("location", "")
        assert answer.status_code == 404


async def test_words_of_a_stranger_do_not_stay_among_the_figures(
    http: httpx2.AsyncClient,
) -> None:
    for number in range(5):
        await http.request(f"WORD{number}", "/inbox")

    figures = (await http.get("/metrics", headers=scraper.HEADERS)).text

    assert "WORD" not in figures
    assert 'method="other"' in figures


async def test_a_strangers_body_is_not_looked_at(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    del desk
    token = await people.token("ann")
    malformed = {"content": b'{"a":', "headers": {"content-type": "application/json"}}

    stranger = await http.post("/api/v1/runs", **malformed)  # type: ignore[arg-type]  # as httpx2 takes it
    malformed["headers"] |= token  # type: ignore[operator]  # a dictionary
    known = await http.post("/api/v1/runs", **malformed)  # type: ignore[arg-type]  # as above

    assert stranger.status_code == 401
    assert known.status_code == 400


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 40_000,
        json.dumps(
            {"state": "\ud800", "nonce": "n", "verifier": "v", "wanted": "/"}
        ).encode(),
        b"[]",
        b'{"state": "s"}',
        b"\xff",
    ],
    ids=["an abyss", "half a character", "a list", "a part", "no text"],
)
def test_a_flow_that_we_did_not_pack_is_none(text: bytes) -> None:
    assert Flow.unpack(urlsafe_b64encode(text).decode()) is None


async def test_a_token_for_reading_signs_nobody_out(
    http: httpx2.AsyncClient, store: Store, people: People
) -> None:
    ann = await people.named("ann", password=PASSWORD)
    await sessions.begin(store, ann, instead_of=None)
    new = NewToken(name="a reader", scopes=("read",))
    made = await tokens.issue(store, ann.id, new, tokens.Maker(ann.id))

    answer = await http.post(
        "/sign-out",
        data={"everywhere": "true"},
        headers={"Authorization": f"Bearer {made.plain}"},
    )

    assert answer.status_code == 403
    assert len(await sessions.listing(store, ann.id)) == 1


async def test_a_copied_session_has_eight_guesses_at_the_password(
    http: httpx2.AsyncClient, store: Store, people: People
) -> None:
    ann = await people.named("ann", password=PASSWORD)
    opened = await sessions.begin(store, ann, instead_of=None)
    http.cookies.set("keyturn", opened.cookie)
    form = {"csrf": opened.row.csrf, "new": "another password", "old": "a guess"}

    guesses = [
        await http.post("/settings/password", data=form, headers=BROWSER)
        for _ in range(9)
    ]
    right = await http.post(
        "/settings/password", data=form | {"old": PASSWORD}, headers=BROWSER
    )

    assert "current password is wrong" in guesses[7].text
    assert "Too many wrong passwords" in guesses[8].text
    assert "Too many wrong passwords" in right.text


class Aged:
    """A store whose clock a test moves, and a browser signed in to it."""

    def __init__(self, store: Store, http: httpx2.AsyncClient) -> None:
        self.store = store
        self.http = http
        self.passed = timedelta()


@pytest.fixture
async def aged(tables_url: str) -> AsyncIterator[Aged]:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    store = patient(tables_url, clock=lambda: began + aged.passed)
    app = create_app(Settings(), store, None, Signer(new_key()))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=HOME) as http:
        aged = Aged(store, http)
        await People(store).named("ann", password=PASSWORD)
        await http.post("/sign-in", data=FORM)
        yield aged
    await store.close()


async def test_an_open_page_keeps_no_session_from_ending(aged: Aged) -> None:
    seen: list[int] = []

    for _ in range(9):
        aged.passed += timedelta(minutes=59)
        seen.append((await aged.http.get("/inbox/queue")).status_code)

    assert seen == [200] * 8 + [401]


async def test_a_person_at_the_page_does(aged: Aged) -> None:
    seen: list[int] = []

    for _ in range(9):
        aged.passed += timedelta(minutes=59)
        seen.append((await aged.http.get("/inbox")).status_code)

    assert seen == [200] * 9
