"""Pausing, resuming and cancelling over HTTP."""

import httpx2
import pytest

from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.runs import bulk as run_bulk
from keyturn.orchestrator.store.runs.bulk import NewBulk
from keyturn.orchestrator.store.runs.listing import Filter
from tests.approvals.desk import Desk
from tests.approvals.people import People

RUNS = "/api/v1/runs"
WHY = {"reason": "The refunds look wrong."}


async def test_a_run_is_paused_resumed_and_cancelled(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    run = await desk.run()
    await desk.approval(run)
    headers = await people.token("olga", role="operator")
    olga = await people.named("olga")
    seen: list[tuple[str, str | None]] = []
    said: set[str | None] = set()

    for verb in ("pause", "pause", "resume", "cancel"):
        answer = await http.post(f"{RUNS}/{run.id}:{verb}", json=WHY, headers=headers)
        assert answer.status_code == 200
        seen.append((answer.json()["status"], answer.json()["stopped_by"]))
        said.add(answer.json()["stopped_words"])

    stopped = ("stopped", f"pause by {olga.id}")
    assert seen == [stopped, stopped, ("queued", None), ("queued", None)]
    assert said == {f"a pause that {olga.name} set", None}
    shown = await http.get(f"{RUNS}/{run.id}", headers=headers)
    assert shown.json()["pending"] == []


async def test_an_agent_pauses_nothing(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    run = await desk.run()

    answer = await http.post(
        f"{RUNS}/{run.id}:pause", json=WHY, headers=await people.token("ann")
    )

    assert answer.status_code == 403


@pytest.mark.parametrize("body", [{}, {"reason": " "}, {"reason": "x", "by": "me"}])
async def test_a_pause_needs_a_reason_and_nothing_else(
    http: httpx2.AsyncClient, desk: Desk, people: People, body: dict[str, str]
) -> None:
    run = await desk.run()
    headers = await people.token("olga", role="operator")

    answer = await http.post(f"{RUNS}/{run.id}:pause", json=body, headers=headers)

    assert answer.status_code == 422


async def test_all_runs_that_match_are_paused(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    wanted = [await desk.run(customer="c-1"), await desk.run(customer="c-1")]
    other = await desk.run(customer="c-2")
    headers = await people.token("olga", role="operator")
    body = {"filter": {"workflow": "support", "customer": "c-1"}, **WHY}

    first = await http.post(f"{RUNS}:pause", json=body, headers=headers)
    held = [await http.get(f"{RUNS}/{run.id}", headers=headers) for run in wanted]
    again = await http.post(f"{RUNS}:pause", json=body, headers=headers)
    back = await http.post(f"{RUNS}:resume", json=body, headers=headers)
    freed = [await http.get(f"{RUNS}/{run.id}", headers=headers) for run in wanted]

    assert first.status_code == 202
    assert [first.json()[name] for name in ("state", "total", "done")] == ["done", 2, 2]
    assert [one.json()["status"] for one in held] == ["stopped", "stopped"]
    assert again.json()["total"] == 0
    assert (back.json()["verb"], back.json()["done"]) == ("resume", 2)
    assert [one.json()["status"] for one in freed] == ["queued", "queued"]
    shown = await http.get(f"{RUNS}/{other.id}", headers=headers)
    assert shown.json()["status"] == "queued"


async def test_a_filter_names_something(
    http: httpx2.AsyncClient, people: People
) -> None:
    headers = await people.token("olga", role="operator")

    answer = await http.post(
        f"{RUNS}:cancel", json={"filter": {}, **WHY}, headers=headers
    )

    assert answer.status_code == 422
    assert "switch" in answer.json()["detail"]


async def test_an_operator_of_a_tenant_holds_only_its_runs(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    north, south = await desk.run(tenant="north"), await desk.run(tenant="south")
    headers = await people.token("olga", role="operator", tenant="north")
    body = {"filter": {"workflow": "support"}, **WHY}

    many = await http.post(f"{RUNS}:cancel", json=body, headers=headers)
    one = await http.post(f"{RUNS}/{south.id}:cancel", json=WHY, headers=headers)

    cancelled = await http.get(f"{RUNS}/{north.id}", headers=headers)
    assert many.json()["total"] == 1
    assert many.json()["filter"]["tenant"] == "north"
    assert cancelled.status_code == 200
    assert one.status_code == 404


async def test_a_bulk_is_seen_and_stopped_within_its_tenant(
    http: httpx2.AsyncClient, desk: Desk, people: People, store: Store
) -> None:
    await desk.run(tenant="north")
    person = await people.named("olga", role="operator", tenant="north")
    headers = await people.token("olga")
    other = await people.token("sven", role="operator", tenant="south")
    bulk = await run_bulk.begin(
        store,
        NewBulk(
            verb="pause",
            filter=Filter(tenant="north"),
            reason="look",
            by=person.id,
            by_tenant="north",
        ),
    )

    listed = await http.get("/api/v1/bulks", headers=headers)
    unseen = await http.get(f"/api/v1/bulks/{bulk.id}", headers=other)
    refused = await http.post(f"/api/v1/bulks/{bulk.id}:stop", headers=other)
    stopped = await http.post(f"/api/v1/bulks/{bulk.id}:stop", headers=headers)
    twice = await http.post(f"/api/v1/bulks/{bulk.id}:stop", headers=headers)

    assert [(one["id"], one["left"]) for one in listed.json()["items"]] == [
        (bulk.id, 1)
    ]
    assert (unseen.status_code, refused.status_code) == (404, 404)
    assert (stopped.json()["state"], stopped.json()["left"]) == ("stopped", 0)
    assert twice.status_code == 409
