"""Signing in, sessions and tokens."""

from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from fastapi import FastAPI
from markupsafe import escape
from sqlmodel import select

from keyturn.approvals.auth import accounts, permissions
from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import access, tokens
from keyturn.orchestrator.store.people.errors import EmailTaken
from keyturn.orchestrator.store.tables import AuditRow, SessionRow, TokenRow
from tests.approvals import scraper
from tests.approvals.people import PASSWORD, People
from tests.databases import patient

ME = "/api/v1/me"
WRONG = "guess"


async def _sign_in(
    http: httpx2.AsyncClient, password: str = PASSWORD, **fields: str
) -> httpx2.Response:
    form = {"email": "ann@shop.example", "password": password, **fields}
    return await http.post("/sign-in", data=form)


async def test_a_token_acts_as_its_owner(
    http: httpx2.AsyncClient, people: People
) -> None:
    headers = await people.token("ann", role="lead")

    answer = await http.get(ME, headers=headers)

    assert answer.status_code == 200
    assert answer.json()["role"] == "lead"
    assert "approvals.decide" in answer.json()["may"]


@pytest.mark.parametrize(
    "value", ["Bearer kt_wrong", "Bearer ", "Basic YTpi", "kt_x", "Bearer kt_\xff"]
)
async def test_a_wrong_token_opens_nothing(
    http: httpx2.AsyncClient, value: str
) -> None:
    answer = await http.get(ME, headers=[(b"Authorization", value.encode("latin-1"))])

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["type"] == "urn:keyturn:problem:not-signed-in"


async def test_nobody_is_told_to_sign_in(http: httpx2.AsyncClient) -> None:
    answer = await http.get(ME)

    assert answer.status_code == 401
    assert "/sign-in" in answer.json()["detail"]


async def test_a_token_is_kept_as_a_hash(store: Store, people: People) -> None:
    headers = await people.token("ann")

    async with store.read() as session:
        kept = (await session.execute(select(TokenRow))).scalar_one()
    assert headers["Authorization"].removeprefix("Bearer ") not in str(kept)


async def test_a_revoked_token_opens_nothing(
    http: httpx2.AsyncClient, store: Store, people: People
) -> None:
    headers = await people.token("ann")
    async with store.read() as session:
        [kept] = await tokens.listing(session, (await people.named("ann")).id)

    await tokens.revoke(store, kept.id, by="test")

    assert (await http.get(ME, headers=headers)).status_code == 401


async def test_signing_in_opens_a_session(
    http: httpx2.AsyncClient, people: People
) -> None:
    await people.named("ann", password=PASSWORD)

    answer = await _sign_in(http, next="/runs?status=failed")

    assert answer.status_code == 303
    assert answer.headers["location"] == "/runs?status=failed"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "secure" not in cookie
    assert (await http.get(ME)).json()["email"] == "ann@shop.example"


async def test_over_https_the_cookie_is_bound_to_this_host(
    store: Store, people: People
) -> None:
    await people.named("ann", password=PASSWORD)
    settings = Settings(public_url="https://keyturn.example")
    app = create_app(settings, store, None, Signer(new_key()))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(
        transport=transport, base_url="https://keyturn.example"
    ) as http:
        answer = await _sign_in(http)

        assert answer.headers["set-cookie"].startswith("__Host-keyturn=")
        assert "secure" in answer.headers["set-cookie"].lower()
        assert "max-age" in answer.headers["strict-transport-security"]
        assert (await http.get(ME)).status_code == 200


@pytest.mark.parametrize(
    "target", ["https://evil.example", "//evil.example", "/\\evil", "/a\r\nb", ""]
)
async def test_signing_in_leads_nowhere_else(
    http: httpx2.AsyncClient, people: People, target: str
) -> None:
    await people.named("ann", password=PASSWORD)

    answer = await _sign_in(http, next=target)

    assert answer.headers["location"] == "/inbox"


async def test_a_wrong_password_leads_back_to_the_form(
    http: httpx2.AsyncClient, people: People
) -> None:
    await people.named("ann", password=PASSWORD)

    answer = await _sign_in(http, password=WRONG)

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?")
    assert "keyturn=" not in answer.headers["set-cookie"]


@pytest.mark.parametrize("typed", ["ann@shop.example", '"><b>é@shop.example'])
async def test_the_address_stays_after_a_wrong_password(
    http: httpx2.AsyncClient, people: People, typed: str
) -> None:
    await people.named("ann", password=PASSWORD)

    answer = await _sign_in(http, password=WRONG, email=typed)
    page = (await http.get(answer.headers["location"])).text
    fresh = (await http.get("/sign-in")).text

    assert f'value="{escape(typed)}" required' in page
    assert "shop.example" not in answer.headers["location"]
    assert WRONG not in page
    assert "shop.example" not in fresh


@pytest.mark.parametrize("email", ["nobody@shop.example", "a\x00b", "", "x" * 300])
async def test_an_unknown_address_reads_like_a_wrong_password(
    http: httpx2.AsyncClient, people: People, email: str
) -> None:
    await people.named("ann", password=PASSWORD)

    unknown = await _sign_in(http, email=email)
    wrong = await _sign_in(http, password=WRONG)

    assert unknown.headers["location"] == wrong.headers["location"]


async def test_a_session_ends_when_idle_and_after_a_week(
    tables_url: str,
) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    clock = [now]
    store = patient(tables_url, clock=lambda: clock[0])
    await People(store).named("ann", password=PASSWORD)
    app = create_app(Settings(), store, None, Signer(new_key()))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://k") as http:
        await _sign_in(http)
        for _ in range(20):
            clock[0] += timedelta(hours=7)
            assert (await http.get(ME)).status_code == 200
        clock[0] += timedelta(hours=8)
        assert (await http.get(ME)).status_code == 401

        await _sign_in(http)
        seen: list[int] = []
        for _ in range(30):
            clock[0] += timedelta(hours=7)
            seen.append((await http.get(ME)).status_code)
        assert seen == [200] * 23 + [401] * 7
    await store.close()


async def test_signing_in_again_ends_the_session_before(
    http: httpx2.AsyncClient, store: Store, people: People
) -> None:
    await people.named("ann", password=PASSWORD)
    await _sign_in(http)
    first = dict(http.cookies)

    await _sign_in(http)

    assert dict(http.cookies) != first
    async with store.read() as session:
        assert len(list((await session.execute(select(SessionRow))).scalars())) == 1


async def test_a_new_password_ends_what_began_with_the_old_one(
    http: httpx2.AsyncClient, store: Store, people: People
) -> None:
    ann = await people.named("ann", password=PASSWORD)
    await _sign_in(http)

    await accounts.set_password(store, ann.id, "another password", by="admin")

    assert (await http.get(ME)).status_code == 401


async def test_a_closed_account_opens_nothing(
    http: httpx2.AsyncClient, store: Store, people: People
) -> None:
    ann = await people.named("ann", password=PASSWORD)
    headers = await people.token("ann")
    await _sign_in(http)

    await access.disable(store, ann.id, by="admin")

    assert (await http.get(ME)).status_code == 401
    assert (await http.get(ME, headers=headers)).status_code == 401
    assert "error=" in (await _sign_in(http)).headers["location"]


async def test_signing_out_needs_the_page(
    http: httpx2.AsyncClient, store: Store, people: People
) -> None:
    await people.named("ann", password=PASSWORD)
    await _sign_in(http)
    async with store.read() as session:
        row = (await session.execute(select(SessionRow))).scalar_one()

    forged = await http.post("/sign-out", data={"csrf": "guess"})
    plain = await http.post("/sign-out")
    real = await http.post("/sign-out", data={"csrf": row.csrf})

    assert (forged.status_code, plain.status_code) == (403, 403)
    assert real.status_code == 303
    assert (await http.get(ME)).status_code == 401


async def test_another_site_cannot_sign_anybody_in(
    http: httpx2.AsyncClient, people: People
) -> None:
    await people.named("ann", password=PASSWORD)
    form = {"email": "ann@shop.example", "password": PASSWORD}

    answers = [
        await http.post("/sign-in", data=form, headers=headers)
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
        )
    ]

    assert [one.status_code for one in answers] == [403, 403, 403]


async def test_accounts_are_recorded(store: Store, people: People) -> None:
    await people.token("ann", role="lead")

    async with store.read() as session:
        kinds = list((await session.execute(select(AuditRow.kind))).scalars())

    assert kinds == ["person.added", "token.created"]


async def test_two_accounts_do_not_share_an_address(
    store: Store, people: People
) -> None:
    await people.named("ann")

    with pytest.raises(EmailTaken):
        await People(store).named("ann")


async def test_every_answer_binds_the_browser(
    http: httpx2.AsyncClient,
) -> None:
    for path in (ME, "/nowhere", "/static/nothing.css"):
        headers = (await http.get(path)).headers

        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


async def test_a_person_is_shown_a_page_and_a_program_a_problem(
    http: httpx2.AsyncClient,
) -> None:
    page = await http.get("/nowhere/<b>", headers={"Accept": "text/html"})
    problem = await http.get("/nowhere")

    assert page.headers["content-type"].startswith("text/html")
    assert "404 Not Found" in page.text
    assert problem.json()["status"] == 404


async def test_a_fault_of_ours_says_nothing_of_itself(
    http: httpx2.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> None:
        raise RuntimeError("the secret is 4711")

    known = {**permissions.ROUTES, "GET /broken": "public"}
    monkeypatch.setattr(permissions, "ROUTES", known)
    app.add_api_route("/broken", broken)

    page = await http.get("/broken", headers={"Accept": "text/html"})
    problem = await http.get("/broken")
    figures = await http.get("/metrics", headers=scraper.HEADERS)

    assert (page.status_code, problem.status_code) == (500, 500)
    assert "4711" not in page.text + problem.text
    assert problem.json()["type"] == "urn:keyturn:problem:internal"
    assert "content-security-policy" in page.headers
    assert 'route="/broken",status="500"} 2.0' in figures.text


async def test_even_a_known_browser_has_eight_guesses(
    http: httpx2.AsyncClient, people: People
) -> None:
    await people.named("ann", password=PASSWORD)
    await _sign_in(http)

    for _ in range(8):
        await _sign_in(http, password=WRONG)

    assert "Too+many" in (await _sign_in(http)).headers["location"]


async def test_failures_are_recorded_without_what_was_typed(
    http: httpx2.AsyncClient, store: Store, people: People
) -> None:
    ann = await people.named("ann", password=PASSWORD)

    await _sign_in(http, password=WRONG)
    await _sign_in(http, email="my secret password")

    async with store.read() as session:
        query = select(AuditRow).where(AuditRow.kind == "sign_in.failed")
        rows = list((await session.execute(query)).scalars())
    assert [one.subject for one in rows] == [ann.id, None]
    assert not any(WRONG in one.payload or "secret" in one.payload for one in rows)
    assert all("127.0.0.1" in one.payload for one in rows)


async def test_a_cookie_is_replaced_on_any_answer(tables_url: str) -> None:
    clock = [datetime(2026, 1, 1, tzinfo=UTC)]
    store = patient(tables_url, clock=lambda: clock[0])
    await People(store).named("ann", password=PASSWORD)
    app = create_app(Settings(), store, None, Signer(new_key()))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://k") as http:
        await _sign_in(http)
        first = http.cookies["keyturn"]
        clock[0] += timedelta(minutes=61)
        answers = [await http.get(ME), await http.get("/no/such/page")]
        second = http.cookies["keyturn"]
        clock[0] += timedelta(minutes=61)
        missing = await http.get("/api/v1/runs/none")

        assert [one.status_code for one in answers] == [200, 404]
        assert first != second != http.cookies["keyturn"]
        assert missing.status_code == 404
        assert "httponly" in missing.headers["set-cookie"].lower()
    await store.close()
