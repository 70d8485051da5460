"""What a copied session is worth: no token, and nothing that outlives its owner's no."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import select

from keyturn.approvals.auth import accounts
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import (
    access,
    errors,
    sessions,
    token_lifetime,
    tokens,
)
from keyturn.orchestrator.store.people.access import Change
from keyturn.orchestrator.store.people.tokens import NewToken
from keyturn.orchestrator.store.tables import AuditRow
from tests.approvals.auth.served import served
from tests.approvals.people import PASSWORD, People
from tests.databases import both

ME = "/api/v1/me"
TOKENS = "/api/v1/me/tokens"
NEW = "another good password"
GUESS = "a guess"
HASH = "a hash"
WANTED = {"name": "ci", "scopes": ["read", "approvals.decide"], "days": 7}


@dataclass
class Copied:
    """A session of Ann's in somebody else's hands: its cookie and its page's token."""

    http: httpx2.AsyncClient
    csrf: dict[str, str]

    async def ask(self, **more: object) -> httpx2.Response:
        body = {**WANTED, **more}
        return await self.http.post(TOKENS, json=body, headers=self.csrf)

    async def made(self) -> dict[str, str]:
        """The header of a token that was made with the password."""
        answer = await self.ask(password=PASSWORD)
        assert answer.status_code == 201, answer.text
        return {"Authorization": f"Bearer {answer.json()['secret']}"}


@asynccontextmanager
async def _browser(
    address: str, store: Store, people: People
) -> AsyncGenerator[Copied]:
    ann = await people.named("ann", role="lead", password=PASSWORD)
    opened = await sessions.begin(store, ann, instead_of=None)
    cookies = {"keyturn": opened.cookie}
    async with httpx2.AsyncClient(base_url=address, cookies=cookies) as http:
        yield Copied(http, {"X-CSRF-Token": opened.row.csrf})


@pytest.fixture
async def copied(app: FastAPI, store: Store, people: People) -> AsyncIterator[Copied]:
    async with served(app) as address, _browser(address, store, people) as browser:
        yield browser


async def _refused(copied: Copied, token: dict[str, str]) -> str:
    """The words for a token that opens nothing any more."""
    async with httpx2.AsyncClient(base_url=copied.http.base_url) as program:
        answer = await program.get(ME, headers=token)
    assert answer.status_code == 401, answer.text
    return str(answer.json()["detail"])


async def _revoked(store: Store) -> list[dict[str, Any]]:
    async with store.read() as session:
        query = select(AuditRow).where(AuditRow.kind == "token.revoked")
        rows = (await session.execute(query.order_by(AuditRow.id))).scalars()  # type: ignore[arg-type]  # a column
        return [canonical.parse(row.payload) for row in rows]  # type: ignore[misc]  # an object


async def test_a_copied_session_makes_no_token_without_the_password(
    copied: Copied, store: Store
) -> None:
    bare = await copied.ask()
    guessed = await copied.ask(password=GUESS)
    right = await copied.ask(password=PASSWORD)

    assert bare.status_code == 403
    assert bare.json()["type"] == "urn:keyturn:problem:not-fresh"
    assert "give the password" in bare.json()["detail"]
    assert guessed.status_code == 422
    assert "password" in guessed.json()["detail"]
    assert right.status_code == 201
    async with store.read() as session:
        kinds = (await session.execute(select(AuditRow.kind))).scalars()
        assert list(kinds).count("token.created") == 2  # with the one of `people`


async def test_a_copied_session_has_eight_guesses_for_tokens_and_password_together(
    copied: Copied,
) -> None:
    change = {"old": GUESS, "new": NEW}

    for _ in range(4):
        await copied.ask(password=GUESS)
        await copied.http.post("/api/v1/me:password", json=change, headers=copied.csrf)
    late = await copied.ask(password=PASSWORD)

    assert late.status_code == 429
    assert int(late.headers["retry-after"]) > 0


@both
async def test_a_copied_sessions_token_after_a_password_change(
    copied: Copied, store: Store
) -> None:
    """Issue 8.4: it lived on for a year."""
    token = await copied.made()
    change = {"old": PASSWORD, "new": NEW}

    done = await copied.http.post(
        "/api/v1/me:password", json=change, headers=copied.csrf
    )

    assert done.status_code == 200
    assert "was revoked on" in await _refused(copied, token)
    assert {one["because"] for one in await _revoked(store)} == {"password changed"}
    assert "ci" in {one["name"] for one in await _revoked(store)}


@pytest.mark.parametrize("way", ["sign-out", "settings", "api"])
async def test_signing_out_everywhere_revokes_tokens(
    copied: Copied, store: Store, way: str
) -> None:
    token = await copied.made()
    path, form = {
        "sign-out": ("/sign-out", {"everywhere": "true"}),
        "settings": ("/settings/sessions/end", {}),
        "api": ("/api/v1/me/sessions:end", {}),
    }[way]

    done = await copied.http.post(path, data=form, headers=copied.csrf)

    assert done.status_code in (200, 303)
    assert "revoked" in await _refused(copied, token)
    reasons = {one["because"] for one in await _revoked(store)}
    assert reasons == {"signed out everywhere"}


@both
async def test_what_an_admin_does_to_a_password_or_account_revokes_tokens(
    copied: Copied, store: Store, people: People
) -> None:
    ann = await people.named("ann")
    removed = await copied.made()
    await access.remove_password(store, ann.id, by="ada")
    again: dict[str, dict[str, str]] = {}
    for because in ("password reset", "account closed"):
        new = NewToken(name=because, scopes=("read",))
        made = await tokens.issue(store, ann.id, new, tokens.Maker(ann.id))
        again[because] = {"Authorization": f"Bearer {made.plain}"}
        async with store.write() as session:
            row = await access.lock(session, ann.id, managed=None)
            await session.read_clock()
            if because == "password reset":
                await access.reset_password(
                    session, row, password_hash=HASH, by="ada", proposed_by="max"
                )
            else:
                wanted = Change(is_open=False).of(row)
                await access.grant(session, row, wanted, by="ada")

    assert "revoked" in await _refused(copied, removed)
    for token in again.values():
        await _refused(copied, token)
    found = [one["because"] for one in await _revoked(store)]
    assert set(found) == {"password removed", "password reset", "account closed"}


async def test_a_services_token_stays_where_its_makers_password_changes(
    copied: Copied, store: Store, people: People
) -> None:
    """It is no person's: whoever manages the service revokes it there."""
    bot = await people.token("bot", kind="service")
    ann = await people.named("ann")

    await accounts.set_password(store, ann.id, NEW, by=ann.id)

    async with httpx2.AsyncClient(base_url=copied.http.base_url) as program:
        assert (await program.get(ME, headers=bot)).status_code == 200


async def test_the_page_names_the_tokens_that_would_end(
    copied: Copied,
) -> None:
    await copied.made()

    page = (await copied.http.get("/settings")).text

    assert (
        page.count("This also revokes your 2 tokens: <strong>ci, test")
        + page.count("This also revokes your 2 tokens: <strong>test, ci")
        == 2
    )


async def test_a_copied_session_makes_no_token_for_a_service(
    app: FastAPI, store: Store, people: People
) -> None:
    bot = await people.named("bot", kind="service")
    ada = await people.named("ada", role="admin", password=PASSWORD)
    opened = await sessions.begin(store, ada, instead_of=None)
    cookies = {"keyturn": opened.cookie}
    csrf = {"X-CSRF-Token": opened.row.csrf}
    wanted = {"name": "shop", "scopes": ["read"], "days": 365}
    path = f"/api/v1/people/{bot.id}/tokens"

    async with (
        served(app) as address,
        httpx2.AsyncClient(base_url=address, cookies=cookies) as http,
    ):
        bare = await http.post(path, json=wanted, headers=csrf)
        page = await http.post(
            f"/settings/people/{bot.id}/tokens", data={"name": "x"}, headers=csrf
        )
        proven = await http.post(
            path, json={**wanted, "password": PASSWORD}, headers=csrf
        )

    assert (bare.status_code, page.status_code) == (403, 422)
    assert proven.status_code == 201


async def test_a_session_that_ended_meanwhile_makes_no_token(
    store: Store, people: People
) -> None:
    """Between the password and the token: all was signed out, or it was changed."""
    ann = await people.named("ann", password=PASSWORD)
    opened = await sessions.begin(store, ann, instead_of=None)
    proven = tokens.Proven(ann.id, opened.row.id, ann.password_hash, "password")
    new = NewToken(name="ci", scopes=("read",))

    await sessions.end_all(store, ann.id)

    with pytest.raises(errors.AccountChanged):
        await tokens.issue(store, ann.id, new, tokens.Maker(ann.id, proven=proven))
    again = await sessions.begin(store, ann, instead_of=None)
    old = tokens.Proven(ann.id, again.row.id, "another hash", "password")
    with pytest.raises(errors.AccountChanged):
        await tokens.issue(store, ann.id, new, tokens.Maker(ann.id, proven=old))


async def test_a_token_of_before_that_decides_says_why_it_ended(
    copied: Copied, store: Store, people: People
) -> None:
    token = await copied.made()
    async with store.write() as session:
        for row in await tokens.listing(session, (await people.named("ann")).id):
            row.created_at -= token_lifetime.LONGEST_DECIDING
            row.ends_at = None

    words = await _refused(copied, token)
    page = (await copied.http.get("/settings")).text

    assert "approvals.decide lives no longer" in words
    assert "Make another one at /settings" in words
    assert "it may decide, so it lives 7 days at most" in page
