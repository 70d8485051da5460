"""The store is away, or full; Temporal is away: what a caller is told (P6)."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx2
from sqlalchemy import make_url, text
from sqlmodel import select
from temporalio.client import Client

from keyturn.approvals.web.app import create_app, finish
from keyturn.orchestrator.dispatch.dispatcher import Deliverer
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store import migrate
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.tables import OutboxRow
from tests.approvals.desk import Desk
from tests.approvals.people import People
from tests.databases import VOUCHER
from tests.servers.own import Own

BODY = {"workflow": "support", "input": {"customer_id": "c-1", "text": "Hello."}}


@asynccontextmanager
async def _client(
    store: Store, deliverer: Deliverer | None = None
) -> AsyncGenerator[httpx2.AsyncClient]:
    app = create_app(Settings(), store, deliverer, Signer(new_key()))
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://keyturn.test"
    ) as http:
        yield http
    await finish(app)


async def test_a_database_that_is_away_is_said_and_comes_back(
    own_postgres: Own,
) -> None:
    await migrate.upgrade(own_postgres.address)
    store = Store(own_postgres.address, voucher=VOUCHER)
    await Desk(store).open()
    headers = await People(store).token("ann")
    async with _client(store) as http:
        own_postgres.stop()

        away = [
            await http.post("/api/v1/runs", json=BODY, headers=headers),
            await http.get("/api/v1/runs", headers=headers),
            await http.post("/sign-in", data={"email": "ann@shop.example"}),
        ]
        ready = await http.get("/readyz")
        own_postgres.start()
        back = await http.post("/api/v1/runs", json=BODY, headers=headers)

    assert [one.status_code for one in away] == [503, 503, 503]
    assert all(one.headers["retry-after"] for one in away)
    assert "cannot be used now" in away[0].json()["detail"]
    assert "Nothing was changed" in away[0].json()["detail"]
    place = make_url(own_postgres.address)
    assert not [one for one in away if (place.host or "?") in one.text]
    assert not [one for one in away if str(place.port) in one.text]
    assert (ready.status_code, ready.json()["store"]) == (503, "away")
    assert back.status_code == 202
    await store.close()


async def test_a_full_disk_is_said_and_nothing_is_half_written(
    sqlite_tables: str,
) -> None:
    store = Store(sqlite_tables, voucher=VOUCHER)
    await Desk(store).open()
    headers = await People(store).token("ann")
    async with store.read() as session:
        used = (await session.execute(text("PRAGMA page_count"))).scalar_one()
        await session.execute(text(f"PRAGMA max_page_count={used}"))
    body = {**BODY, "input": {"customer_id": "c-1", "text": "x" * 2_000}}
    answers: list[httpx2.Response] = []

    async with _client(store) as http:
        for _ in range(60):
            answers.append(await http.post("/api/v1/runs", json=body, headers=headers))
            if answers[-1].status_code == 503:
                break
        listed = await http.get("/api/v1/runs", params={"limit": 200}, headers=headers)

    assert answers[-1].status_code == 503
    assert "full" in answers[-1].json()["detail"]
    assert len(listed.json()["items"]) == len(answers) - 1
    await store.close()
    path = sqlite_tables.removeprefix("sqlite+aiosqlite:///")
    with sqlite3.connect(path) as connection:
        rows = connection.execute(
            "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM outbox)"
        ).fetchone()
    assert rows == (len(answers) - 1, len(answers) - 1)


async def test_a_decision_is_kept_while_temporal_is_away(
    own_temporal: Own, sqlite_tables: str
) -> None:
    store = Store(sqlite_tables, voucher=VOUCHER)
    desk, people = Desk(store), People(store)
    await desk.open()
    approval = await desk.approval(await desk.run())
    headers = await people.token("ann")
    client = await Client.connect(own_temporal.address)
    deliverer = Deliverer(
        store=store, client=client, task_queue="t", effects_queue="t-effects"
    )
    async with _client(store, deliverer) as http:
        ready = await http.get("/readyz")
        own_temporal.stop()

        began = asyncio.get_running_loop().time()
        answer = await http.post(
            f"/api/v1/approvals/{approval.id}:decide",
            json={"decision": "approve", "binding": approval.binding},
            headers=headers,
        )
        took_s = asyncio.get_running_loop().time() - began
        away = await http.get("/readyz")

    assert ready.json() == {"store": "ok", "temporal": "ok"}
    assert (answer.status_code, answer.json()["status"]) == (200, "approved")
    assert took_s < 10
    assert (away.status_code, away.json()["temporal"]) == (503, "away")
    await store.close()


async def test_p09_what_is_committed_is_delivered_at_once(
    temporal_client: Client, task_queue: str, sqlite_tables: str
) -> None:
    store = Store(sqlite_tables, voucher=VOUCHER)
    await Desk(store).open()
    headers = await People(store).token("ann")
    deliverer = Deliverer(
        store=store, client=temporal_client, task_queue=task_queue, effects_queue="-"
    )

    async with _client(store, deliverer) as http:
        run = (await http.post("/api/v1/runs", json=BODY, headers=headers)).json()["id"]
        # Nothing sweeps here: only the request itself can have delivered it.
        async with asyncio.timeout(40):
            while not await _is_accepted(store):  # noqa: ASYNC110 the store has no event
                await asyncio.sleep(0.01)

    started = await temporal_client.get_workflow_handle(run).describe()
    assert started.workflow_type == "support"
    await temporal_client.get_workflow_handle(run).terminate()
    await store.close()


async def _is_accepted(store: Store) -> bool:
    async with store.read() as session:
        row = (await session.execute(select(OutboxRow))).scalar_one()
        return row.tries == 1 and row.claimed_until is None
