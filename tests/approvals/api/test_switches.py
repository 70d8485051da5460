"""Switches over HTTP (P3)."""

import os
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx2
import psycopg
import pytest

from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import BARRIER
from keyturn.orchestrator.store.people import tokens
from tests.approvals.desk import Desk
from tests.approvals.people import People
from tests.databases import VOUCHER

SWITCHES = "/api/v1/switches"
HALT = {"scope": {"tool": "refund_order"}, "mode": "halt", "reason": "Wrong refunds."}


async def test_p03_a_switch_answers_with_what_may_still_reach_the_provider(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    run = await desk.run()
    await desk.approval(run, index=0, order="O-1")
    await desk.approval(run, index=1, order="O-2")
    sending = await desk.effect(run, status="sending", index=0)
    leased = await desk.effect(run, status="leased", index=1)
    headers = await people.token("olga", role="operator")

    would = await http.post(
        f"{SWITCHES}:impact", json={"scope": HALT["scope"]}, headers=headers
    )
    put = await http.put(f"{SWITCHES}/refunds", json=HALT, headers=headers)

    assert would.json()["sending"] == [sending.key]
    assert would.json()["leased"] == [leased.key]
    assert put.status_code == 200
    body = put.json()
    assert (body["sending"], body["revoked"]) == ([sending.key], [leased.key])
    assert body["author"] == (await people.named("olga")).id
    effect = await http.get(f"/api/v1/effects/{leased.key}", headers=headers)
    assert effect.json()["status"] == "refused"


async def test_a_switch_is_shown_listed_and_lifted(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    del desk
    headers = await people.token("olga", role="operator")
    await http.put(f"{SWITCHES}/refunds", json=HALT, headers=headers)

    second = await people.token("otto", role="admin")
    why = {"reason": "Mended."}

    listed = await http.get(SWITCHES, headers=headers)
    shown = await http.get(f"{SWITCHES}/refunds", headers=headers)
    bare = await http.delete(f"{SWITCHES}/refunds", headers=headers)
    asked = await http.delete(f"{SWITCHES}/refunds", params=why, headers=headers)
    still = await http.get(SWITCHES, headers=headers)
    confirm = f"/api/v1/proposals/{asked.json()['id']}:confirm"
    own = await http.post(confirm, headers=headers)
    done = await http.post(confirm, headers=second)
    late = await http.post(confirm, headers=second)
    again = await http.delete(f"{SWITCHES}/refunds", params=why, headers=headers)
    left = await http.get(SWITCHES, headers=headers)
    every = await http.get(SWITCHES, params={"all": "true"}, headers=headers)

    assert [one["id"] for one in listed.json()["items"]] == ["refunds"]
    assert shown.json()["scope"]["tool"] == "refund_order"
    assert bare.status_code == 422
    assert (asked.status_code, asked.json()["status"]) == (202, "open")
    assert len(still.json()["items"]) == 1
    assert own.status_code == 403
    assert "takes two people" in own.json()["detail"]
    assert (done.status_code, done.json()["status"]) == (200, "confirmed")
    assert (late.status_code, late.json()["state"]) == (409, "confirmed")
    assert again.status_code == 404
    assert left.json()["items"] == []
    assert "Mended." in every.json()["items"][0]["clear_reason"]
    assert len(every.json()["items"]) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"reason": " "}, "reason"),
        ({"mode": "explode"}, "mode"),
        ({"mode": "use_model"}, "value"),
        ({"value": "openai/gpt"}, "value"),
        ({"scope": {"planet": "earth"}}, "planet"),
        ({"scope": {"tool": "a\u0000"}}, "tool"),
        ({"until": "2020-01-01T00:00:00Z"}, "until"),
        ({"until": "2020-01-01T00:00:00"}, "until"),
        ({"author": "somebody"}, "author"),
    ],
)
async def test_a_wrong_switch_is_not_set(
    http: httpx2.AsyncClient, people: People, change: dict[str, object], words: str
) -> None:
    headers = await people.token("olga", role="operator")

    answer = await http.put(
        f"{SWITCHES}/refunds", json={**HALT, **change}, headers=headers
    )

    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert (await http.get(SWITCHES, headers=headers)).json()["items"] == []


async def test_a_switch_with_an_end_ends(
    http: httpx2.AsyncClient, people: People
) -> None:
    headers = await people.token("olga", role="operator")
    soon = datetime.now(UTC) + timedelta(hours=1)
    body = {**HALT, "until": soon.isoformat()}

    answer = await http.put(f"{SWITCHES}/refunds", json=body, headers=headers)

    assert datetime.fromisoformat(answer.json()["until"]) == soon


@pytest.mark.parametrize("role", ["agent", "lead", "developer", "auditor"])
async def test_other_roles_set_nothing(
    http: httpx2.AsyncClient, people: People, role: str
) -> None:
    headers = await people.token("ann", role=role)

    put = await http.put(f"{SWITCHES}/refunds", json=HALT, headers=headers)
    listed = await http.get(SWITCHES, headers=headers)

    assert (put.status_code, listed.status_code) == (403, 200)


async def test_an_operator_of_a_tenant_holds_only_the_tenant(
    http: httpx2.AsyncClient, people: People
) -> None:
    whole = await people.token("olga", role="operator")
    north = await people.token("nora", role="operator", tenant="north")
    own = {**HALT, "scope": {"tenant": "north"}}
    others = {**HALT, "scope": {"tenant": "south"}}
    await http.put(f"{SWITCHES}/global", json=HALT, headers=whole)
    await http.put(f"{SWITCHES}/south", json=others, headers=whole)

    answers = [
        await http.put(f"{SWITCHES}/{name}", json=body, headers=north)
        for name, body in (("mine", own), ("x", HALT), ("y", others), ("global", own))
    ]
    listed = await http.get(SWITCHES, headers=north)
    hidden = await http.get(f"{SWITCHES}/south", headers=north)
    lifted = await http.delete(
        f"{SWITCHES}/global", params={"reason": "x"}, headers=north
    )

    assert [one.status_code for one in answers] == [200, 403, 403, 403]
    assert [one["id"] for one in listed.json()["items"]] == ["global", "mine"]
    assert (hidden.status_code, lifted.status_code) == (404, 403)


async def test_p03_a_switch_that_cannot_lock_is_not_set(
    store: Store, people: People, tables_url: str
) -> None:
    """As long as a transaction may last in the product, 2 s, and not in tests."""
    headers = await people.token("olga", role="operator")
    url = tables_url.replace("+aiosqlite", "").replace("+psycopg", "")
    if store.is_sqlite:
        holder = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
    else:
        holder = psycopg.connect(url)
        holder.execute("SELECT pg_advisory_xact_lock_shared(%s)", (BARRIER,))

    async with usual(tables_url) as http:
        held = await http.put(f"{SWITCHES}/refunds", json=HALT, headers=headers)
        holder.rollback() if not store.is_sqlite else holder.execute("ROLLBACK")
        holder.close()
        free = await http.put(f"{SWITCHES}/refunds", json=HALT, headers=headers)

    assert held.status_code == 503
    assert held.json()["type"] == "urn:keyturn:problem:not-set"
    assert "NOT SET" in held.json()["detail"]
    if store.is_sqlite:
        assert f"locked by process {os.getpid()}." in held.json()["detail"]
    assert held.headers["retry-after"]
    assert free.status_code == 200


@asynccontextmanager
async def usual(url: str) -> AsyncGenerator[httpx2.AsyncClient]:
    """A client of an application whose transactions may last as in the product."""
    store = Store(url, voucher=VOUCHER)
    app = create_app(Settings(), store, None, Signer(new_key()))
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://keyturn.test"
    ) as http:
        yield http
    await store.close()


async def test_p11_a_looser_switch_does_not_take_its_place(
    http: httpx2.AsyncClient, people: People
) -> None:
    headers = await people.token("olga", role="operator")
    await http.put(f"{SWITCHES}/refunds", json=HALT, headers=headers)

    looser = await http.put(
        f"{SWITCHES}/refunds", json={**HALT, "mode": "disable"}, headers=headers
    )

    assert looser.status_code == 409
    assert looser.json()["type"] == "urn:keyturn:problem:would-loosen"
    assert "under another name" in looser.json()["detail"]


async def test_p11_a_second_token_is_the_same_person(
    http: httpx2.AsyncClient, store: Store, people: People
) -> None:
    headers = await people.token("olga", role="operator")
    olga = await people.named("olga")
    plain = await tokens.create(store, olga.id, name="other", by=olga.id)
    await http.put(f"{SWITCHES}/refunds", json=HALT, headers=headers)
    asked = await http.delete(
        f"{SWITCHES}/refunds", params={"reason": "Mended."}, headers=headers
    )

    other = await http.post(
        f"/api/v1/proposals/{asked.json()['id']}:confirm",
        headers={"Authorization": f"Bearer {plain}"},
    )

    assert other.status_code == 403
    assert other.json()["type"] == "urn:keyturn:problem:needs-second-person"


async def test_p11_proposals_are_listed_declined_and_withdrawn(
    http: httpx2.AsyncClient, people: People
) -> None:
    olga = await people.token("olga", role="operator")
    otto = await people.token("otto", role="operator")
    proposals, why = "/api/v1/proposals", {"reason": "Mended."}
    await http.put(f"{SWITCHES}/refunds", json=HALT, headers=olga)
    first = await http.delete(f"{SWITCHES}/refunds", params=why, headers=olga)
    name = first.json()["id"]

    waiting = await http.get(proposals, headers=otto)
    shown = await http.get(f"{proposals}/{name}", headers=otto)
    no = await http.post(
        f"{proposals}/{name}:decline", json={"reason": "Not yet."}, headers=otto
    )
    second = await http.delete(f"{SWITCHES}/refunds", params=why, headers=olga)
    back = await http.post(f"{proposals}/{second.json()['id']}:withdraw", headers=olga)
    none = await http.get(proposals, headers=otto)
    every = await http.get(proposals, params={"all": "true"}, headers=otto)

    assert [one["id"] for one in waiting.json()["items"]] == [name]
    assert shown.json()["target"]["switch"] == "refunds"
    assert (no.json()["status"], no.json()["outcome"]) == ("declined", "Not yet.")
    assert back.json()["status"] == "withdrawn"
    assert none.json()["items"] == []
    assert [one["status"] for one in every.json()["items"]] == ["withdrawn", "declined"]


async def test_a_name_that_no_release_has_is_refused_and_set_anyway(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    del desk
    headers = await people.token("olga", role="operator")
    wrong = {**HALT, "scope": {"tool": "refnd_order"}}

    right = await http.put(f"{SWITCHES}/right", json=HALT, headers=headers)
    typo = await http.put(f"{SWITCHES}/typo", json=wrong, headers=headers)
    anyway = await http.put(
        f"{SWITCHES}/typo", json={**wrong, "anyway": True}, headers=headers
    )
    listed = await http.get(SWITCHES, headers=headers)

    assert (right.status_code, right.json()["warnings"]) == (200, [])
    assert (typo.status_code, anyway.status_code) == (422, 200)
    assert "There is no tool 'refnd_order'. Did you mean" in typo.json()["detail"]
    [warning] = anyway.json()["warnings"]
    assert warning in typo.json()["detail"]
    assert "refund_order" in warning
    assert {one["author_name"] for one in listed.json()["items"]} == {"Olga"}
