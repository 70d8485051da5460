"""Several items decided at once, and a decision taken back, over HTTP."""

import httpx2
import pytest

from tests.approvals.desk import Desk
from tests.approvals.people import People

APPROVALS = "/api/v1/approvals"
BATCH = "/api/v1/approvals:decide"


async def _items(
    http: httpx2.AsyncClient, headers: dict[str, str]
) -> list[dict[str, str]]:
    answer = await http.get(APPROVALS, params={"status": "pending"}, headers=headers)
    return [
        {"id": one["id"], "binding": one["binding"]} for one in answer.json()["items"]
    ]


async def test_like_items_are_decided_at_once_with_their_total(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    for number in range(3):
        run = await desk.run()
        await desk.approval(run, amount=10_00 + number, order=f"O-{number}")
    headers = await people.token("ann")
    body = {"items": await _items(http, headers), "decision": "approve"}

    answer = await http.post(BATCH, json=body, headers=headers)

    found = answer.json()
    assert answer.status_code == 200
    assert found["decided"] == 3
    assert [one["approval"]["status"] for one in found["items"]] == ["approved"] * 3
    assert found["totals"] == [
        {"amount": 30_03, "currency": "USD", "text": "30.03 USD"}
    ]


async def test_one_that_fails_holds_up_no_other(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    await desk.approval(await desk.run())
    await desk.approval(await desk.run(), order="O-2")
    headers = await people.token("ann")
    items = await _items(http, headers)
    items[0]["binding"] = "0" * 64
    body = {"items": items, "decision": "approve"}

    answer = await http.post(BATCH, json=body, headers=headers)

    stale, fine = answer.json()["items"]
    assert stale["approval"] is None
    assert stale["problem"]["status"] == 412
    assert fine["approval"]["status"] == "approved"


@pytest.mark.parametrize(
    "why", ["two people", "another role", "21", "twice", "unknown"]
)
async def test_what_is_not_alike_is_not_decided_at_once(
    http: httpx2.AsyncClient, desk: Desk, people: People, why: str
) -> None:
    await desk.approval(await desk.run())
    if why == "two people":
        await desk.approval(await desk.run(), order="O-2", needed=2)
    if why == "another role":
        await desk.approval(await desk.run(), order="O-2", role="lead")
    headers = await people.token("ann")
    items = await _items(http, headers)
    if why == "21":
        items = [{**items[0], "id": f"ap-{n}"} for n in range(21)]
    if why == "twice":
        items *= 2
    if why == "unknown":
        items.append({**items[0], "id": "ap-none"})
    body = {"items": items, "decision": "approve"}

    answer = await http.post(BATCH, json=body, headers=headers)

    assert answer.status_code in (404, 422), answer.text
    left = await http.get(APPROVALS, params={"status": "pending"}, headers=headers)
    assert left.json()["items"]


async def test_p09_a_decision_is_taken_back_once(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    await desk.approval(await desk.run())
    headers = await people.token("ann")
    [item] = await _items(http, headers)
    path = f"{APPROVALS}/{item['id']}"
    said = {"decision": "approve", "binding": item["binding"]}
    decided = await http.post(f"{path}:decide", json=said, headers=headers)

    undone = await http.post(f"{path}:undo", json={"reason": "slip"}, headers=headers)
    again = await http.post(f"{path}:undo", json={}, headers=headers)

    assert decided.json()["undo_until"] is not None
    assert undone.status_code == 200
    assert (undone.json()["status"], undone.json()["revision"]) == ("pending", 1)
    assert again.status_code == 409
    assert "no decision to undo" in again.json()["detail"]


async def test_p08_another_agent_takes_nothing_back(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    await desk.approval(await desk.run())
    headers = await people.token("ann")
    [item] = await _items(http, headers)
    path = f"{APPROVALS}/{item['id']}"
    said = {"decision": "reject", "binding": item["binding"], "reason": "no"}
    await http.post(f"{path}:decide", json=said, headers=headers)

    answer = await http.post(f"{path}:undo", json={}, headers=await people.token("bob"))

    assert answer.status_code == 403
