"""What many streams follow is looked at once, and none of them holds up another."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing

import httpx2
import pytest
from fastapi import FastAPI

from keyturn.approvals.auth.liveness import Credential
from keyturn.approvals.auth.visitor import NOBODYS
from keyturn.approvals.web.app import create_app
from keyturn.approvals.web.watcher import Topic, Watcher
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store import migrate
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import tokens
from keyturn.orchestrator.store.people.tokens import NewToken
from keyturn.orchestrator.store.views import fingerprints
from tests.approvals.auth.served import served
from tests.approvals.desk import Desk
from tests.approvals.people import People
from tests.approvals.web.test_metrics import statements
from tests.databases import both, patient
from tests.servers.own import Own

SOON_S = 60.0
MANY = 20
SELDOM_S = 600.0
OFTEN_S = 0.01


class Shown:
    """What is followed: the test changes it, and says what looking at it comes to."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {"a": "1", "b": "1"}
        self.looks = 0
        self.fault: Exception | None = None

    async def look(
        self, names: Sequence[str], before: Mapping[str, str]
    ) -> Mapping[str, str]:
        del before
        self.looks += 1
        if self.fault is not None:
            raise self.fault
        return {name: self.states[name] for name in names}


async def credential(people: People, name: str) -> Credential:
    """A new token's, of the person with this name."""
    row = await people.named(name)
    new = NewToken(name="stream")
    issued = await tokens.issue(people.store, row.id, new, tokens.Maker(row.id))
    return Credential(
        id=issued.row.id, is_token=True, role=row.role, kind=row.kind, tenant=row.tenant
    )


async def soon(following: AsyncIterator[str]) -> str | None:
    async with asyncio.timeout(SOON_S):
        return await anext(following, None)


async def until(following: AsyncIterator[str], state: str) -> None:
    async with asyncio.timeout(SOON_S):
        async for found in following:
            if found == state:
                return
    raise AssertionError(f"it ended before {state}")


@both
async def test_what_a_change_asks_of_the_database_is_the_same_for_any_number(
    store: Store, people: People
) -> None:
    own = [await credential(people, f"p{number}") for number in range(MANY)]
    asked: dict[int, int] = {}

    for count in (1, MANY):
        topic = Topic(store, Shown().look, every_s=SELDOM_S)
        with statements(store) as found:
            first = [soon(topic.follow("a", one)) for one in own[:count]]
            assert await asyncio.gather(*first) == ["1"] * count
        asked[count] = len(found)
        await topic.finish()

    assert 0 < asked[1] == asked[MANY]


async def test_many_streams_of_a_run_read_a_change_once(
    app: FastAPI, store: Store, desk: Desk, people: People
) -> None:
    run = await desk.run()
    headers = await people.token("ann")
    path = f"/api/v1/runs/{run.id}/events"
    async with (
        served(app) as address,
        httpx2.AsyncClient(base_url=address, timeout=SOON_S) as http,
        AsyncExitStack() as opened,
    ):
        streams = [
            await opened.enter_async_context(aclosing(_events(http, path, headers)))
            for _ in range(MANY)
        ]
        for one in streams:
            assert [await anext(one) for _ in range(2)] == ["run.started", "run"]

        topic = app.state.parts.watcher.events
        async with asyncio.timeout(SOON_S):
            while topic.listeners < MANY:  # noqa: ASYNC110 they come one by one
                await asyncio.sleep(OFTEN_S)
        await _told_once(topic)
        with statements(store) as asked:
            await desk.approval(run)
            heard = await asyncio.gather(*(anext(one) for one in streams))

    assert heard == ["approval.asked"] * MANY
    assert len([one for one in asked if "audit.at >=" in one]) == 1


async def _told_once(topic: "Topic[object]") -> None:
    """Return when all who listen were told of a look that began after now."""
    credentials = Credential("nobody", False, "", "", None)  # noqa: FBT003 it opens nothing
    following = topic.follow("nothing", credentials)
    async with asyncio.timeout(SOON_S):
        assert await anext(following, None) is None


async def _events(
    http: httpx2.AsyncClient, path: str, headers: dict[str, str]
) -> AsyncGenerator[str]:
    async with http.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                yield line.removeprefix("event: ")


async def test_stream_that_is_slow_holds_up_nobody_and_hears_the_newest(
    store: Store, people: People
) -> None:
    shown = Shown()
    topic = Topic(store, shown.look, every_s=OFTEN_S)
    slow = topic.follow("a", await credential(people, "ann"))
    quick = topic.follow("a", await credential(people, "bea"))
    assert await asyncio.gather(soon(slow), soon(quick)) == ["1", "1"]

    for state in ("2", "3", "4"):
        shown.states["a"] = state
        await until(quick, state)

    assert await soon(slow) == "4"
    await topic.finish()


async def test_fault_of_ours_ends_the_streams_and_the_next_one_begins_anew(
    store: Store, people: People
) -> None:
    shown = Shown()
    topic = Topic(store, shown.look, every_s=OFTEN_S)
    own = await credential(people, "ann")
    following = [topic.follow("a", own), topic.follow("b", own)]
    assert await asyncio.gather(*map(soon, following)) == ["1", "1"]

    shown.fault = RuntimeError("a bug")

    assert await asyncio.gather(*map(soon, following)) == [None, None]
    shown.fault = None
    assert await soon(topic.follow("a", own)) == "1"
    await topic.finish()


async def test_database_that_is_away_ends_no_stream(
    store: Store, people: People
) -> None:
    shown = Shown()
    topic = Topic(store, shown.look, every_s=OFTEN_S)
    following = topic.follow("a", await credential(people, "ann"))
    assert await soon(following) == "1"

    shown.fault, looks = StoreUnavailable("away"), shown.looks
    async with asyncio.timeout(SOON_S):
        while shown.looks < looks + 3:  # noqa: ASYNC110 nobody is told of a failed look
            await asyncio.sleep(OFTEN_S)
    shown.states["a"], shown.fault = "2", None

    await until(following, "2")
    await topic.finish()


async def test_nothing_is_told_to_whose_token_was_revoked(
    store: Store, people: People
) -> None:
    shown = Shown()
    topic = Topic(store, shown.look, every_s=OFTEN_S)
    ended, own = await credential(people, "ann"), await credential(people, "bea")
    following, other = topic.follow("a", ended), topic.follow("a", own)
    assert await asyncio.gather(soon(following), soon(other)) == ["1", "1"]

    await tokens.revoke(store, ended.id, by="test")
    shown.states["a"] = "2"
    await until(other, "2")

    assert await soon(following) is None
    await topic.finish()


@both
async def test_a_tenants_stream_tells_nothing_of_others(
    store: Store, desk: Desk, people: People
) -> None:
    await desk.approval(await desk.run(tenant="north"))
    before = await fingerprints.queue(store, ["north", NOBODYS, fingerprints.ALL])
    watcher = Watcher(store)
    own = await credential(people, "ann")
    north = watcher.queue.follow("north", own)
    nobodys = watcher.queue.follow(NOBODYS, own)
    whole = watcher.queue.follow(fingerprints.ALL, own)
    first = await asyncio.gather(soon(north), soon(nobodys), soon(whole))

    await desk.approval(await desk.run(tenant="south"))
    async with asyncio.timeout(SOON_S):
        async for state in whole:
            if state != before[fingerprints.ALL]:
                break

    assert first == [before["north"], "", before[fingerprints.ALL]]
    assert await soon(north) == before["north"]
    assert await soon(nobodys) == ""
    await watcher.finish()


@pytest.mark.timeout(180)
async def test_streams_go_on_when_the_database_is_back(own_postgres: Own) -> None:
    await migrate.upgrade(own_postgres.address)
    store = patient(own_postgres.address)
    people, desk = People(store), Desk(store)
    await desk.open()
    run = await desk.run()
    app = create_app(Settings(), store, None, Signer(new_key()))
    headers = await people.token("ann")
    path = f"/api/v1/runs/{run.id}/events"
    async with (
        served(app) as address,
        httpx2.AsyncClient(base_url=address, timeout=SOON_S) as http,
        aclosing(_events(http, path, headers)) as events,
    ):
        assert [await anext(events) for _ in range(2)] == ["run.started", "run"]
        topic = app.state.parts.watcher.events
        async with asyncio.timeout(SOON_S):
            while not topic.listeners:  # noqa: ASYNC110 it begins to follow now
                await asyncio.sleep(OFTEN_S)

        own_postgres.stop()
        down = await http.get("/readyz")
        own_postgres.start()
        await desk.approval(run)

        assert json.loads(down.text)["store"] == "away"
        assert await anext(events) == "approval.asked"
    await store.close()
