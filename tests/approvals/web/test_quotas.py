"""What one person has under way keeps nobody else from anything, and never a switch."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
import psycopg
import pytest
from fastapi import FastAPI

from keyturn.approvals.auth import permissions
from keyturn.approvals.web import quotas
from keyturn.approvals.web.app import create_app
from keyturn.approvals.web.quotas import AT_ONCE, STREAMS_EACH, WAITING, Streams
from keyturn.orchestrator.processes.web import RESERVE
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db import postgres
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import sessions
from tests.approvals.auth.routes import every
from tests.approvals.auth.served import served
from tests.approvals.desk import Desk
from tests.approvals.people import People
from tests.databases import PATIENCE, VOUCHER, warm

API = "/api/v1"
CONNECTIONS = postgres.KEPT_OPEN + postgres.AT_PEAKS
SHARED = CONNECTIONS - RESERVE
# As many people as would take every connection there is, and more.
MANY = 5
SOON_S = 60.0

Ask = Callable[[], Awaitable[httpx2.Response]]


@pytest.fixture
async def store(postgres_tables: str) -> AsyncIterator[Store]:
    """A web process's, on PostgreSQL: SQLite has no reads that wait."""
    opened = Store(
        postgres_tables, transaction_timeout=PATIENCE, reserve=RESERVE, voucher=VOUCHER
    )
    yield warm(opened)
    await opened.close()


@pytest.fixture
def app(store: Store) -> FastAPI:
    return create_app(Settings(), store, None, Signer(new_key()))


@pytest.fixture
async def web(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a real server, with as many connections as it likes."""
    limits = httpx2.Limits(max_connections=None)
    async with (
        served(app) as address,
        httpx2.AsyncClient(base_url=address, timeout=SOON_S, limits=limits) as client,
    ):
        yield client


@asynccontextmanager
async def locked(store: Store, table: str) -> AsyncGenerator[Callable[[], int]]:
    """A table that nobody else reads; yields what counts those who wait for it."""
    url = store.url.replace("+psycopg", "")
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
        "AND datname = current_database()"
    )
    with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as eye:
        holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")  # pyright: ignore[reportArgumentType, reportCallIssue] a name of ours

        def count() -> int:
            found = eye.execute(waiting).fetchone()
            return int(found[0]) if found else 0

        yield count


async def reaches(count: Callable[[], int], wanted: int) -> None:
    async with asyncio.timeout(SOON_S):
        while count() < wanted:  # noqa: ASYNC110 the server tells nobody
            await asyncio.sleep(0.02)


async def test_switch_and_pause_are_set_while_reads_hold_all_they_may(
    web: httpx2.AsyncClient, store: Store, desk: Desk, people: People
) -> None:
    run, other = await desk.run(), await desk.run()
    lea = await people.token("lea", role="operator")
    await people.named("max", role="operator")
    readers = [await people.token(f"ada{one}", role="admin") for one in range(MANY)]
    switch = {"scope": {"workflow": run.workflow}, "mode": "halt", "reason": "stop"}
    because = {"reason": "to look"}
    some = {"filter": {"workflow": run.workflow}, **because}

    def asks(method: str, path: str, body: object = None) -> Ask:
        return lambda: web.request(method, f"{API}{path}", json=body, headers=lea)

    controls = {
        "set": asks("PUT", "/switches/sw", switch),
        "pause": asks("POST", f"/runs/{run.id}:pause", because),
        "resume": asks("POST", f"/runs/{run.id}:resume", because),
        "cancel": asks("POST", f"/runs/{other.id}:cancel", because),
        "pause all": asks("POST", "/runs:pause", some),
        "lift": asks("DELETE", "/switches/sw?reason=over"),
    }
    async with locked(store, "incidents") as waiting:
        reads = [
            asyncio.create_task(web.get(f"{API}/incidents", headers=one))
            for one in readers
            for _ in range(AT_ONCE)
        ]
        assert len(reads) > CONNECTIONS
        await reaches(waiting, SHARED)

        answers = {name: await ask() for name, ask in controls.items()}

        assert not any(one.done() for one in reads)
    assert {name: one.status_code for name, one in answers.items()} == {
        "set": 200,
        "pause": 200,
        "resume": 200,
        "cancel": 200,
        "pause all": 202,
        "lift": 202,
    }
    assert {(await one).status_code for one in reads} == {200}


async def test_one_tokens_reads_leave_connections_to_others(
    web: httpx2.AsyncClient, store: Store, people: People
) -> None:
    greedy = await people.token("ada", role="admin")
    other = await people.token("bob", role="admin")
    at_a_time = AT_ONCE + WAITING
    async with locked(store, "incidents") as waiting:
        reads = [
            asyncio.create_task(web.get(f"{API}/incidents", headers=greedy))
            for _ in range(at_a_time + 30)
        ]
        await reaches(waiting, AT_ONCE)
        async with asyncio.timeout(SOON_S):
            while sum(one.done() for one in reads) < 30:  # noqa: ASYNC110 as above
                await asyncio.sleep(0.02)

        answer = await web.get(f"{API}/runs", headers=other)

        assert waiting() == AT_ONCE
    found = [await one for one in reads]
    refused = [one for one in found if one.status_code == 429]
    assert answer.status_code == 200
    assert len(refused) == 30
    assert refused[0].headers["Retry-After"] == str(quotas.RETRY_AFTER_S)
    assert refused[0].json()["under_way"] == at_a_time
    assert "send this again in 1 s, and fewer at once" in refused[0].json()["detail"]
    assert {one.status_code for one in found} == {200, 429}


async def test_one_persons_streams_are_counted_together(
    web: httpx2.AsyncClient, store: Store, desk: Desk, people: People
) -> None:
    run = await desk.run()
    token = await people.token("ann")
    ann = await people.named("ann")
    cookie = (await sessions.begin(store, ann, instead_of=None)).cookie
    session = {"Cookie": f"keyturn={cookie}"}
    events = f"{API}/runs/{run.id}/events"
    async with AsyncExitStack() as opened:

        async def open_(path: str, headers: dict[str, str]) -> httpx2.Response:
            stream = web.stream("GET", path, headers=headers)
            return await opened.enter_async_context(stream)

        half = STREAMS_EACH // 2
        begun = [await open_(events, token) for _ in range(half)]
        begun += [await open_("/inbox/live", session) for _ in range(half)]
        refused = await web.get(f"/runs/{run.id}/live", headers=session)
        others = await open_(events, await people.token("bea"))

        assert {one.status_code for one in begun} == {200}
        assert refused.status_code == 429
        assert refused.headers["Retry-After"] == str(quotas.STREAM_AFTER_S)
        assert refused.json()["under_way"] == STREAMS_EACH
        assert refused.json()["most"] == STREAMS_EACH
        assert "Close some pages or programs" in refused.json()["detail"]
        assert others.status_code == 200
    again = await _opened_again(web, events, token)
    assert again == 200


async def test_streams_too_many_of_one_token_ask_the_database_nothing(
    web: httpx2.AsyncClient, store: Store, desk: Desk, people: People
) -> None:
    run = await desk.run()
    headers = await people.token("ann")
    path = f"/runs/{run.id}/live"
    async with AsyncExitStack() as opened:
        for _ in range(STREAMS_EACH):
            await opened.enter_async_context(web.stream("GET", path, headers=headers))
        # All that is looked at while they are open waits for this table.
        async with locked(store, "tokens") as waiting:
            refused = [await web.get(path, headers=headers) for _ in range(MANY)]
            looked_up = asyncio.create_task(web.get(f"{API}/me", headers=headers))
            await reaches(waiting, 1)

        assert {one.status_code for one in refused} == {429}
        assert (await looked_up).status_code == 200


async def test_streams_that_are_opened_and_left_in_a_loop_are_not_counted(
    web: httpx2.AsyncClient, app: FastAPI, desk: Desk, people: People
) -> None:
    run = await desk.run()
    headers = await people.token("ann")
    events = f"{API}/runs/{run.id}/events"

    for _ in range(3 * STREAMS_EACH):
        assert await _opened_again(web, events, headers) == 200

    streams: Streams = app.state.parts.quotas.people.stream
    async with asyncio.timeout(SOON_S):
        while streams.open:  # noqa: ASYNC110 a server tells nobody that a client left
            await asyncio.sleep(0.02)


async def _opened_again(
    web: httpx2.AsyncClient, path: str, headers: dict[str, str]
) -> int:
    """Open a stream and leave it; the server hears of those left before in a moment."""
    async with asyncio.timeout(SOON_S):
        while True:
            async with web.stream("GET", path, headers=headers) as answer:
                if answer.status_code != 429:
                    return answer.status_code
            await asyncio.sleep(0.02)


async def test_all_streams_of_a_process_have_a_bound() -> None:
    streams = Streams(each=2, in_all=3)
    async with AsyncExitStack() as opened:
        for person in ("ann", "ann", "bea"):
            await opened.enter_async_context(streams.turn(person))

        with pytest.raises(
            quotas.TooManyAtOnce, match="3 event streams open, of at most 3"
        ):
            await opened.enter_async_context(streams.turn("cyd"))

    assert streams.open == 0


async def test_every_route_that_streams_is_counted_as_one(app: FastAPI) -> None:
    live = {route.name for route in every(app) if route.is_live}

    assert live == permissions.STREAMS
