"""One's own sessions and password over HTTP."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx2
from fastapi import FastAPI

from tests.approvals.people import PASSWORD, People

SESSIONS = "/api/v1/me/sessions"
OWN_PASSWORD = "/api/v1/me:password"  # noqa: S105 a path
NEW = "another good password"
HOME = "http://keyturn.test"
FORM = {"email": "ann@shop.example", "password": PASSWORD}


@asynccontextmanager
async def _browser(
    app: FastAPI, password: str = PASSWORD
) -> AsyncGenerator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=HOME) as http:
        await http.post("/sign-in", data={**FORM, "password": password})
        yield http


async def _is_in(browser: httpx2.AsyncClient) -> bool:
    return (await browser.get("/api/v1/me")).status_code == 200


async def test_a_token_sees_and_ends_its_owners_sessions(
    app: FastAPI, http: httpx2.AsyncClient, people: People
) -> None:
    await people.named("ann", password=PASSWORD)
    headers = await people.token("ann")
    async with _browser(app) as one, _browser(app) as other:
        listed = (await http.get(SESSIONS, headers=headers)).json()["items"]
        latest = await http.delete(f"{SESSIONS}/{listed[0]['id']}", headers=headers)
        left = [await _is_in(one), await _is_in(other)]
        rest = await http.post(f"{SESSIONS}:end", headers=headers)

        assert [(one["method"], one["is_this"]) for one in listed] == [
            ("password", False)
        ] * 2
        assert (latest.json(), rest.json()) == (
            {"ended": 1, "tokens": 0},
            {"ended": 1, "tokens": 1},
        )
        assert sorted(left) == [False, True]
        assert not await _is_in(one)
        assert not await _is_in(other)
    assert (await http.get("/api/v1/me", headers=headers)).status_code == 401


async def test_a_browser_stays_in_where_it_ends_the_others(
    app: FastAPI, people: People
) -> None:
    await people.named("ann", password=PASSWORD)
    async with _browser(app) as here, _browser(app) as there:
        listed = (await here.get(SESSIONS)).json()["items"]
        page = (await here.get("/settings")).text
        csrf = page.partition('name="csrf" value="')[2].partition('"')[0]

        ended = await here.post(f"{SESSIONS}:end", headers={"X-CSRF-Token": csrf})

        assert [one["is_this"] for one in listed].count(True) == 1
        assert ended.json() == {"ended": 1, "tokens": 1}
        assert await _is_in(here)
        assert not await _is_in(there)


async def test_nobody_ends_anothers_session(
    app: FastAPI, http: httpx2.AsyncClient, people: People
) -> None:
    await people.named("ann", password=PASSWORD)
    async with _browser(app) as anns:
        [session] = (await anns.get(SESSIONS)).json()["items"]

        refused = await http.delete(
            f"{SESSIONS}/{session['id']}", headers=await people.token("bob")
        )

        assert refused.status_code == 404
        assert await _is_in(anns)


async def test_a_new_password_ends_every_session(
    app: FastAPI, http: httpx2.AsyncClient, people: People
) -> None:
    await people.named("ann", password=PASSWORD)
    headers = await people.token("ann")
    async with _browser(app) as before:
        body = {"old": PASSWORD, "new": NEW}
        changed = await http.post(OWN_PASSWORD, json=body, headers=headers)

        assert changed.status_code == 200
        assert changed.json()["items"] == []
        assert not await _is_in(before)
    async with _browser(app, NEW) as after:
        assert await _is_in(after)


async def test_a_wrong_present_password_changes_nothing_and_is_counted(
    http: httpx2.AsyncClient, people: People
) -> None:
    await people.named("ann", password=PASSWORD)
    headers = await people.token("ann")

    guesses = [
        await http.post(OWN_PASSWORD, json={"old": "no", "new": NEW}, headers=headers)
        for _ in range(8)
    ]
    right = {"old": PASSWORD, "new": NEW}
    late = await http.post(OWN_PASSWORD, json=right, headers=headers)

    assert {one.status_code for one in guesses} == {422}
    assert "current password is wrong" in guesses[0].json()["detail"]
    assert late.status_code == 429
    assert int(late.headers["retry-after"]) > 0
