"""Runs over HTTP: started once, seen by their tenant, written to."""

import asyncio

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import select

from keyturn.approvals.web.middleware import BodyLimit
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.tables import OutboxRow, RunRow
from tests.approvals.desk import Desk
from tests.approvals.people import People

RUNS = "/api/v1/runs"
INPUT = {"customer_id": "c-1", "text": "My lamp is broken."}
BODY: dict[str, object] = {"workflow": "support", "input": INPUT}


@pytest.fixture(autouse=True)
async def _live(desk: Desk) -> None:
    """The workflow is live in every test here."""


async def test_a_run_is_accepted_and_will_be_started(
    http: httpx2.AsyncClient, store: Store, people: People
) -> None:
    headers = await people.token("ann")

    answer = await http.post(RUNS, json=BODY, headers=headers)

    run = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"{RUNS}/{run['id']}"
    assert (run["status"], run["tenant"], run["customer"]) == (
        "queued",
        "default",
        "c-1",
    )
    assert (run["cost_usd"], run["pending"], run["handed_off"]) == (
        "0.000000",
        [],
        None,
    )
    assert run["started_by"] == (await people.named("ann")).id
    async with store.read() as session:
        row = (await session.execute(select(OutboxRow))).scalar_one()
    assert (row.kind, row.run) == ("start", run["id"])


async def test_the_same_external_id_gives_the_first_run(
    http: httpx2.AsyncClient, people: People
) -> None:
    headers = await people.token("ann")
    body = {**BODY, "source": "zendesk", "external_id": "4711"}

    first = await http.post(RUNS, json=body, headers=headers)
    again = await http.post(RUNS, json=body, headers=headers)

    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"]


async def test_a_repeated_key_gives_the_first_answer(
    http: httpx2.AsyncClient, store: Store, people: People
) -> None:
    headers = {**await people.token("ann"), "Idempotency-Key": "abc"}

    first = await http.post(RUNS, json=BODY, headers=headers)
    again = await http.post(RUNS, json=BODY, headers=headers)
    other = await http.post(RUNS, json={**BODY, "tenant": "x"}, headers=headers)

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert other.status_code == 422
    assert other.json()["type"] == "urn:keyturn:problem:key-reused"
    async with store.read() as session:
        assert len(list((await session.execute(select(RunRow))).scalars())) == 1


async def test_a_key_belongs_to_its_person(
    http: httpx2.AsyncClient, people: People
) -> None:
    ann = {**await people.token("ann"), "Idempotency-Key": "abc"}
    bob = {**await people.token("bob"), "Idempotency-Key": "abc"}

    first = await http.post(RUNS, json=BODY, headers=ann)
    second = await http.post(RUNS, json=BODY, headers=bob)

    assert first.json()["id"] != second.json()["id"]


async def test_p08_a_key_gives_no_answer_of_a_tenant_that_was_left(
    http: httpx2.AsyncClient, store: Store, people: People
) -> None:
    row = await people.named("ann", tenant="north")
    headers = {**await people.token("ann"), "Idempotency-Key": "abc"}
    body = {**BODY, "tenant": "north"}
    first = await http.post(RUNS, json=body, headers=headers)
    async with store.write() as session:
        (await session.merge(row)).tenant = "south"

    again = await http.post(RUNS, json=body, headers=headers)

    assert (first.status_code, again.status_code) == (202, 422)
    assert first.json()["id"] not in again.text


async def test_a_refused_request_frees_its_key(
    http: httpx2.AsyncClient, people: People
) -> None:
    headers = {**await people.token("ann"), "Idempotency-Key": "abc"}

    refused = await http.post(
        RUNS, json={**BODY, "workflow": "nothing"}, headers=headers
    )
    done = await http.post(RUNS, json=BODY, headers=headers)

    assert (refused.status_code, done.status_code) == (404, 202)


async def test_duplicates_at_once_start_one_run(
    http: httpx2.AsyncClient, store: Store, people: People
) -> None:
    headers = {**await people.token("ann"), "Idempotency-Key": "abc"}

    answers = await asyncio.gather(
        *(http.post(RUNS, json=BODY, headers=headers) for _ in range(8))
    )

    assert {one.status_code for one in answers} <= {202, 409}
    ids = {one.json()["id"] for one in answers if one.status_code == 202}
    assert len(ids) == 1
    async with store.read() as session:
        assert len(list((await session.execute(select(RunRow))).scalars())) == 1


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"workflow": "nothing"}, 404, "support"),
        ({"input": {"customer_id": "c-1"}}, 422, "'text' is a required property"),
        ({"input": {**INPUT, "text": "x" * 2_001}}, 422, "too long"),
        ({"input": {**INPUT, "text": "a\u0000b"}}, 422, "U+0000"),
        ({"input": {**INPUT, "text": "a\u001bb"}}, 422, "U+001B"),
        ({"input": "x"}, 422, "input"),
        ({"tenant": "a\u0000"}, 422, "tenant"),
        ({"external_id": "a\u0000"}, 422, "external_id"),
        ({"workflow": ""}, 422, "workflow"),
        ({"started_by": "somebody"}, 422, "started_by"),
    ],
)
async def test_what_does_not_fit_is_named(
    http: httpx2.AsyncClient,
    people: People,
    change: dict[str, object],
    status: int,
    words: str,
) -> None:
    headers = await people.token("ann")

    answer = await http.post(RUNS, json={**BODY, **change}, headers=headers)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert (await http.get(RUNS, headers=headers)).json()["items"] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"workflow": "support", "workflow": "x"}', "stands twice"),
        ('{"workflow": NaN}', "NaN"),
        ('{"workflow": Infinity}', "Infinity"),
        ('{"workflow": "\\ud800"}', "canonical"),
        ("[" * 10_000 + "]" * 10_000, "nested deeper"),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, "nested deeper"),
        ("{", "not a JSON document"),
        ("\xff\xfe", "not a JSON document"),
        ('{"workflow": 1e999}', "canonical"),
    ],
    ids=[
        "twice",
        "nan",
        "inf",
        "surrogate",
        "lists",
        "braces",
        "cut",
        "bytes",
        "1e999",
    ],
)
async def test_malformed_json_is_refused(
    http: httpx2.AsyncClient, people: People, text: str, words: str
) -> None:
    headers = {**await people.token("ann"), "Content-Type": "application/json"}

    answer = await http.post(RUNS, content=text.encode("latin-1"), headers=headers)

    assert answer.status_code == 400
    assert words in answer.json()["detail"]


async def test_a_body_too_large_is_refused(
    http: httpx2.AsyncClient, people: People
) -> None:
    headers = {**await people.token("ann"), "Content-Type": "application/json"}

    async def chunks():
        for _ in range(30):
            yield b" " * 100_000

    declared = await http.post(RUNS, content=b" " * 3_000_000, headers=headers)
    streamed = await http.post(RUNS, content=chunks(), headers=headers)

    assert (declared.status_code, streamed.status_code) == (413, 413)
    assert declared.headers["content-type"] == "application/problem+json"
    assert streamed.headers["content-type"] == "application/problem+json"


async def test_a_body_that_does_not_arrive_is_not_waited_for(
    app: FastAPI, people: People
) -> None:
    headers = {**await people.token("ann"), "Content-Type": "application/json"}

    async def drops():
        yield b'{"workflow": '
        await asyncio.sleep(30)
        yield b'"support"}'

    impatient = BodyLimit(app, within_s=0.2)
    transport = httpx2.ASGITransport(app=impatient)
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://keyturn.test"
    ) as http:
        answer = await http.post(RUNS, content=drops(), headers=headers)

    assert answer.status_code == 408
    assert "0.2 s" in answer.json()["detail"]
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_person_of_a_tenant_sees_only_its_runs(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    north = await desk.run(tenant="north")
    south = await desk.run(tenant="south")
    headers = await people.token("ann", tenant="north")

    listed = await http.get(RUNS, headers=headers)
    foreign = await http.get(RUNS, params={"tenant": "south"}, headers=headers)

    assert [run["id"] for run in listed.json()["items"]] == [north.id]
    assert foreign.json()["items"] == []
    assert (await http.get(f"{RUNS}/{north.id}", headers=headers)).status_code == 200
    for path in (f"{RUNS}/{south.id}", f"{RUNS}/{south.id}/trace"):
        assert (await http.get(path, headers=headers)).status_code == 404
    said = await http.post(
        f"{RUNS}/{south.id}/messages", json={"text": "hi"}, headers=headers
    )
    assert said.status_code == 404


async def test_a_person_of_a_tenant_starts_only_its_runs(
    http: httpx2.AsyncClient, people: People
) -> None:
    headers = await people.token("ann", tenant="north")

    own = await http.post(RUNS, json=BODY, headers=headers)
    other = await http.post(RUNS, json={**BODY, "tenant": "south"}, headers=headers)

    assert own.json()["tenant"] == "north"
    assert other.status_code == 403


async def test_an_auditor_starts_nothing(
    http: httpx2.AsyncClient, people: People
) -> None:
    headers = await people.token("ann", role="auditor")

    answer = await http.post(RUNS, json=BODY, headers=headers)

    assert answer.status_code == 403
    assert "auditor" in answer.json()["detail"]


async def test_runs_are_listed_a_page_at_a_time(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    wanted = [(await desk.run()).id for _ in range(5)]
    headers = await people.token("ann")
    seen: list[str] = []
    params = {"limit": "2"}

    while True:
        answer = (await http.get(RUNS, params=params, headers=headers)).json()
        seen += [run["id"] for run in answer["items"]]
        if answer["next"] is None:
            break
        params["cursor"] = answer["next"]

    assert sorted(seen) == sorted(wanted)
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "cursor=%00",
        "status=nothing",
        "colour=red",
        "customer=a%00b",
        "workflow=%0a",
        "workflow=a&workflow=b",
    ],
)
async def test_a_wrong_query_is_named(
    http: httpx2.AsyncClient, people: People, query: str
) -> None:
    headers = await people.token("ann")

    answer = await http.get(f"{RUNS}?{query}", headers=headers)

    assert answer.status_code == 422
    assert query.partition("=")[0] in answer.json()["detail"]


async def test_what_the_customer_writes_voids_what_waits(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    run = await desk.run()
    approval = await desk.approval(run)
    headers = await people.token("ann")
    message = {"text": "Keep the lamp.", "external_id": "m-1"}

    before = await http.get(f"{RUNS}/{run.id}", headers=headers)
    first = await http.post(f"{RUNS}/{run.id}/messages", json=message, headers=headers)
    again = await http.post(f"{RUNS}/{run.id}/messages", json=message, headers=headers)

    assert before.json()["pending"] == [approval.id]
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["pending"] == []
    trace = (await http.get(f"{RUNS}/{run.id}/trace", headers=headers)).json()
    assert [one["text"] for one in trace["customer_messages"]] == ["Keep the lamp."]
    assert trace["approvals"][0]["status"] == "void"


async def test_an_unknown_run_is_not_found(
    http: httpx2.AsyncClient, people: People
) -> None:
    headers = await people.token("ann")

    for path in ("run-0", "x:y", "run-0/trace"):
        answer = await http.get(f"{RUNS}/{path}", headers=headers)

        assert answer.status_code == 404
    assert (await http.get(f"{RUNS}/a%00b", headers=headers)).status_code == 422


@pytest.mark.parametrize("customer", ["C-1\n", " C-1", "C-1\u0000"])
async def test_p14_customer_that_nobody_can_mean_is_422(
    http: httpx2.AsyncClient, people: People, customer: str
) -> None:
    body = {**BODY, "input": {**INPUT, "customer_id": customer}}

    answer = await http.post(RUNS, json=body, headers=await people.token("ann"))

    assert answer.status_code == 422
    assert "customer_id" in answer.text
