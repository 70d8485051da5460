"""A run's events over a real server: history, then what happens, then its end."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import timedelta

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from sqlmodel import col, select

from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.runs import end
from keyturn.orchestrator.store.runs.end import Ending
from keyturn.orchestrator.store.tables import AuditRow, RunRow
from tests.approvals.desk import Desk
from tests.approvals.people import People

Event = dict[str, str]
ENDING = Ending(outcome="handed_off", reason="refusal")


@pytest.fixture
async def served(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application behind a real socket: ASGI clients do not stream."""
    listening = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve([listening]))
    async with httpx2.AsyncClient(base_url=address) as client:
        yield client
    server.should_exit = True
    await serving


async def _events(
    http: httpx2.AsyncClient, run: str, headers: dict[str, str]
) -> AsyncGenerator[Event]:
    path = f"/api/v1/runs/{run}/events"
    async with http.stream("GET", path, headers=headers, timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        event: Event = {}
        async for line in answer.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                event[name] = value
            elif event:
                yield event
                event = {}


async def _ended(store: Store, run: str) -> None:
    """End a run long enough ago that nothing more of it can commit."""
    await end.finish(store, run, ENDING)
    async with store.write() as session:
        row = await session.get(RunRow, run)
        assert row is not None
        assert row.ended_at is not None
        row.ended_at -= timedelta(minutes=1)


async def test_what_happens_is_told_as_it_happens(
    served: httpx2.AsyncClient, store: Store, desk: Desk, people: People
) -> None:
    run = await desk.run()
    headers = await people.token("ann")
    seen: list[Event] = []

    async with aclosing(_events(served, run.id, headers)) as events:
        async for event in events:
            seen.append(event)
            if len(seen) == 2:
                await desk.approval(run)
            if len(seen) == 4:
                await _ended(store, run.id)

    kinds = [one["event"] for one in seen]
    assert kinds[:4] == ["run.started", "run", "approval.asked", "run"]
    assert kinds[-1] == "end"
    assert set(kinds[4:-1]) >= {"run.handed_off", "run"}
    states = [
        json.loads(one["data"])["status"] for one in seen if one["event"] == "run"
    ]
    assert states[:2] == ["queued", "waiting"]
    assert json.loads(seen[-1]["data"]) == "handed_off"


async def test_after_a_cut_it_goes_on_from_the_last_event(
    served: httpx2.AsyncClient, store: Store, desk: Desk, people: People
) -> None:
    run = await desk.run()
    await _ended(store, run.id)
    async with store.write() as session:
        query = select(AuditRow).where(
            col(AuditRow.run) == run.id, col(AuditRow.kind) == "run.started"
        )
        first = (await session.execute(query)).scalar_one()
        first.at -= timedelta(hours=1)
    headers = await people.token("ann")

    whole = [one async for one in _events(served, run.id, headers)]
    last = next(one["id"] for one in whole if one["event"] == "run.handed_off")
    rest = [
        one async for one in _events(served, run.id, {**headers, "Last-Event-ID": last})
    ]

    assert [one["event"] for one in whole] == [
        "run.started",
        "run.handed_off",
        "run",
        "end",
    ]
    assert [one["event"] for one in rest] == ["run.handed_off", "run", "end"]


async def test_a_row_that_commits_late_is_not_lost(
    served: httpx2.AsyncClient, store: Store, desk: Desk, people: People
) -> None:
    run = await desk.run()
    headers = await people.token("ann")
    late: AuditRow | None = None
    seen: list[str] = []

    async with aclosing(_events(served, run.id, headers)) as events:
        async for event in events:
            seen.append(event["event"])
            if len(seen) == 2:
                # It took its time stamp before the row that was just sent.
                late = AuditRow(
                    at=run.created_at - timedelta(seconds=1),
                    actor="system",
                    kind="late",
                    run=run.id,
                    payload="{}",
                )
                async with store.write() as session:
                    session.add(late)
            if event["event"] == "late":
                break

    assert seen == ["run.started", "run", "late"]


@pytest.mark.parametrize("value", ["x", "2026-01-01T00:00:00", "0001-01-01T00:00:00Z"])
async def test_a_wrong_last_event_is_named_and_an_old_one_is_the_beginning(
    served: httpx2.AsyncClient, store: Store, desk: Desk, people: People, value: str
) -> None:
    run = await desk.run()
    await _ended(store, run.id)
    headers = {**await people.token("ann"), "Last-Event-ID": value}

    answer = await served.get(f"/api/v1/runs/{run.id}/events", headers=headers)

    assert answer.status_code == (200 if value.endswith("Z") else 422)


async def test_events_of_another_tenant_are_not_found(
    served: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    run = await desk.run(tenant="south")
    headers = await people.token("ann", tenant="north")

    answer = await served.get(f"/api/v1/runs/{run.id}/events", headers=headers)

    assert answer.status_code == 404
