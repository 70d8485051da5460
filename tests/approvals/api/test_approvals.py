"""Decisions over HTTP (P8, P9, P10)."""

import asyncio

import httpx2
import pytest
from sqlmodel import select

from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.tables import OutboxRow, SessionRow
from tests.approvals.desk import Desk
from tests.approvals.people import PASSWORD, People

APPROVALS = "/api/v1/approvals"
Json = dict[str, object]


async def _decide(
    http: httpx2.AsyncClient,
    headers: dict[str, str],
    approval: str,
    **body: object,
) -> httpx2.Response:
    if "binding" not in body:
        shown = await http.get(f"{APPROVALS}/{approval}", headers=headers)
        body["binding"] = shown.json()["binding"]
    body.setdefault("decision", "approve")
    return await http.post(f"{APPROVALS}/{approval}:decide", json=body, headers=headers)


async def test_what_waits_is_listed_in_plain_words(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    run = await desk.run()
    await desk.approval(run)
    headers = await people.token("ann")

    answer = await http.get(APPROVALS, params={"status": "pending"}, headers=headers)

    [one] = answer.json()["items"]
    assert one["run"] == run.id
    assert one["call"] == f"{run.id}:1.0"
    assert one["summary"] == (
        "Refund order of 100.00 USD for customer “c-1”: order id “O-1”."
    )
    assert one["money"] == {"amount": 10000, "currency": "USD", "text": "100.00 USD"}
    assert one["preview"] == {"order": "O-1", "paid": "120.00 USD"}
    assert (one["needed"], one["given"], one["role"]) == (1, 0, "agent")
    assert one["claimed_by"] is None
    assert one["model_words"] == "The customer says so."


async def test_an_approval_is_committed_and_delivered(
    http: httpx2.AsyncClient, store: Store, desk: Desk, people: People
) -> None:
    approval = await desk.approval(await desk.run())
    headers = await people.token("ann")

    answer = await _decide(http, headers, approval.id)

    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["given"]) == ("approved", 1)
    assert body["decisions"][0]["person_name"] == "Ann"
    assert body["usable_until"] is not None
    async with store.read() as session:
        query = select(OutboxRow).where(OutboxRow.kind == "decision")
        row = (await session.execute(query)).scalar_one()
    assert row.approval == approval.id


async def test_a_rejection_needs_a_reason(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    approval = await desk.approval(await desk.run())
    headers = await people.token("ann")

    without = await _decide(http, headers, approval.id, decision="reject")
    blank = await _decide(http, headers, approval.id, decision="reject", reason="  ")
    given = await _decide(http, headers, approval.id, decision="reject", reason="No.")

    assert (without.status_code, blank.status_code) == (422, 422)
    assert (given.status_code, given.json()["status"]) == (200, "rejected")


async def test_two_at_once_one_wins_and_the_other_is_told(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    approval = await desk.approval(await desk.run())
    ann, bob = await people.token("ann"), await people.token("bob")

    answers = await asyncio.gather(
        _decide(http, ann, approval.id),
        _decide(http, bob, approval.id, decision="reject", reason="No."),
    )

    won, lost = sorted(answers, key=lambda one: one.status_code)
    assert (won.status_code, lost.status_code) == (200, 409)
    problem = lost.json()
    first = won.json()["decisions"][0]
    assert problem["decided_by"] == [first["person_name"]]
    assert first["person_name"] in problem["detail"]
    assert first["decision"] in problem["detail"]
    assert problem["state"] == won.json()["status"]


async def test_a_stale_binding_decides_nothing(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    approval = await desk.approval(await desk.run())
    headers = await people.token("ann")

    answer = await _decide(http, headers, approval.id, binding="0" * 64)

    assert answer.status_code == 412
    shown = await http.get(f"{APPROVALS}/{approval.id}", headers=headers)
    assert shown.json()["status"] == "pending"


async def test_p08_who_started_a_run_does_not_approve_it(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    ann = await people.named("ann")
    approval = await desk.approval(await desk.run(started_by=ann.id))

    answer = await _decide(http, await people.token("ann"), approval.id)

    assert answer.status_code == 403
    assert "you started this run" in answer.json()["detail"]


@pytest.mark.parametrize("role", ["operator", "developer", "auditor"])
async def test_p08_other_roles_decide_nothing(
    http: httpx2.AsyncClient, desk: Desk, people: People, role: str
) -> None:
    approval = await desk.approval(await desk.run())

    answer = await _decide(http, await people.token("ann", role=role), approval.id)

    assert answer.status_code == 403


async def test_p08_a_service_decides_nothing(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    approval = await desk.approval(await desk.run())
    headers = await people.token("bot", role="admin", kind="service")

    answer = await _decide(http, headers, approval.id)

    assert answer.status_code == 403
    assert "service" in answer.json()["detail"]


async def test_p08_two_approvals_means_two_people(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    run = await desk.run()
    approval = await desk.approval(run, amount=600_00, needed=2, role="lead")
    ann = await people.token("ann", role="lead")
    bob = await people.token("bob", role="lead")

    first = await _decide(http, ann, approval.id)
    again = await _decide(http, ann, approval.id)
    second = await _decide(http, bob, approval.id)

    assert (first.json()["status"], first.json()["given"]) == ("pending", 1)
    assert again.status_code == 409
    assert (second.json()["status"], second.json()["given"]) == ("approved", 2)


async def test_p08_a_body_cannot_name_who_decides(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    approval = await desk.approval(await desk.run())
    bob = await people.named("bob")

    answer = await _decide(http, await people.token("ann"), approval.id, person=bob.id)

    assert answer.status_code == 422
    assert "person" in answer.json()["detail"]


async def test_another_tenants_approval_is_not_found(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    approval = await desk.approval(await desk.run(tenant="south"))
    headers = await people.token("ann", tenant="north")

    answer = await _decide(http, headers, approval.id, binding=approval.binding)

    assert answer.status_code == 404
    listed = await http.get(APPROVALS, headers=headers)
    assert listed.json()["items"] == []


async def test_p10_less_money_is_ones_own_approval(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    approval = await desk.approval(await desk.run(), amount=100_00)
    arguments = {
        "order_id": "O-1",
        "amount": {"amount": 80_00, "currency": "USD"},
        "reason": "Half of it.",
    }

    answer = await _decide(
        http, await people.token("ann"), approval.id, arguments=arguments
    )

    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "approved")
    assert body["arguments"]["amount"]["amount"] == 100_00
    assert body["effective"] == arguments
    assert body["money"]["amount"] == 80_00
    assert "80.00 USD" in body["summary"]


async def test_p10_more_money_needs_another_person(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    approval = await desk.approval(await desk.run(), amount=100_00)
    arguments = {"order_id": "O-1", "amount": {"amount": 200_00, "currency": "USD"}}
    ann, bob = await people.token("ann"), await people.token("bob")

    edited = await _decide(http, ann, approval.id, arguments=arguments)
    fresh = edited.json()
    own = await _decide(http, ann, fresh["id"])
    other = await _decide(http, bob, fresh["id"])

    assert (edited.status_code, fresh["status"]) == (200, "pending")
    assert fresh["id"] != approval.id
    assert own.status_code == 403
    assert other.json()["status"] == "approved"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"order_id": "O-1"}, "amount"),
        ({"order_id": 1, "amount": {"amount": 1, "currency": "USD"}}, "order_id"),
        ({"order_id": "O\u0000", "amount": {"amount": 1, "currency": "USD"}}, "U+0000"),
        ({"order_id": "O", "amount": {"amount": 9_999_99, "currency": "USD"}}, "rule"),
        ({"order_id": "O", "amount": {"amount": 1, "currency": "XXQ"}}, "XXQ"),
    ],
    ids=["missing", "type", "nul", "policy", "currency"],
)
async def test_an_invalid_edit_is_refused(
    http: httpx2.AsyncClient, desk: Desk, people: People, arguments: Json, words: str
) -> None:
    approval = await desk.approval(await desk.run())

    answer = await _decide(
        http, await people.token("ann"), approval.id, arguments=arguments
    )

    assert answer.status_code == 422
    assert words in answer.json()["detail"]


async def test_a_cookie_decides_with_its_pages_token_alone(
    http: httpx2.AsyncClient, store: Store, desk: Desk, people: People
) -> None:
    approval = await desk.approval(await desk.run())
    await people.named("ann", password=PASSWORD)
    await http.post(
        "/sign-in", data={"email": "ann@shop.example", "password": PASSWORD}
    )

    async with store.read() as session:
        row = (await session.execute(select(SessionRow))).scalar_one()

    bare = await _decide(http, {}, approval.id)
    wrong = await _decide(http, {"X-CSRF-Token": "guess"}, approval.id)
    foreign = await _decide(
        http, {"X-CSRF-Token": row.csrf, "Origin": "https://evil.test"}, approval.id
    )
    right = await _decide(http, {"X-CSRF-Token": row.csrf}, approval.id)

    assert [one.status_code for one in (bare, wrong, foreign)] == [403, 403, 403]
    assert bare.json()["type"] == "urn:keyturn:problem:forged"
    assert right.json()["status"] == "approved"
