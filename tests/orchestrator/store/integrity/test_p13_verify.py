"""P13: the whole log is gone through, and nobody waits for it meanwhile."""

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any, cast

import psycopg
import pytest
from sqlalchemy.pool import QueuePool

from keyturn.approvals.web.verification import Verification
from keyturn.orchestrator.store.audit import listing, log
from keyturn.orchestrator.store.audit.chain import BATCH
from keyturn.orchestrator.store.audit.log import Entry
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.integrity import verification
from keyturn.orchestrator.store.integrity.sealer import Sealer
from tests.databases import both, patient
from tests.orchestrator.store.desk import Desk

PAGES = 3
SOON_S = 60.0


async def _fill(store: Store) -> str:
    """Write and chain more than two pages; return the head."""
    async with store.write() as session:
        now = await session.read_clock()
        for number in range(BATCH * (PAGES - 1) + 1):
            entry = Entry(actor="system", kind="filled", payload={"number": number})
            log.record(session, entry, at=now + timedelta(microseconds=number))
    sealer = Sealer(store)
    while await sealer.seal():
        pass
    return (await verification.verify(store)).head


@both
async def test_p13_every_page_of_a_long_log_is_checked(desk: Desk) -> None:
    desk.is_honest = False
    head = await _fill(desk.store)
    async with desk.store.read() as session:
        [last] = await listing.listing(
            session, listing.Filter(kind="filled"), limit=1, after=BATCH * 2
        )

    intact = await verification.verify(desk.store, checkpoint=head)
    async with desk.store.write() as session:
        session.add(last)
        last.actor = "nobody"
    changed = await verification.verify(desk.store)
    unknown = await verification.verify(desk.store, checkpoint="f" * 64)

    assert (intact.why, intact.unsealed) == (None, 0)
    assert intact.sealed > BATCH * 2
    assert changed.broken_at == last.position
    assert unknown.broken_at == last.position


@both
async def test_p13_a_checkpoint_that_is_not_in_the_log_is_told(desk: Desk) -> None:
    await _fill(desk.store)

    found = await verification.verify(desk.store, checkpoint="f" * 64)

    assert found.broken_at == found.sealed
    assert found.why == "the published checkpoint is not in the log"


@pytest.fixture
async def store(postgres_tables: str) -> AsyncIterator[Store]:
    opened = patient(postgres_tables)
    yield opened
    await opened.close()


async def test_those_who_ask_meanwhile_share_a_walk_and_others_go_on(
    store: Store,
) -> None:
    head = await _fill(store)
    walks = Verification()
    url = store.url.replace("+psycopg", "")
    with psycopg.connect(url) as holder:
        holder.execute("LOCK TABLE audit IN ACCESS EXCLUSIVE MODE")
        asked = [asyncio.create_task(walks.result(store)) for _ in range(3)]
        asked.append(asyncio.create_task(walks.result(store, checkpoint=head)))
        async with asyncio.timeout(SOON_S):
            while _waiting(url) != 1:  # noqa: ASYNC110 the server tells nobody
                await asyncio.sleep(0.02)
        async with asyncio.timeout(SOON_S), store.read() as session:
            await session.read_clock()

        assert not any(one.done() for one in asked)
        assert _waiting(url) == 1
    found = await asyncio.gather(*asked)

    assert {one.head for one in found} == {head}
    assert found[0] is found[1]
    assert found[0] is not found[3]


class Held(ThreadPoolExecutor):
    """A process's threads, which do nothing before they are told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.go = threading.Event()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.asked.set()

        def later() -> Any:
            self.go.wait(SOON_S)
            return fn(*args, **kwargs)

        return super().submit(later)


async def test_log_is_hashed_beside_the_loop_and_in_no_transaction(
    store: Store,
) -> None:
    await _fill(store)
    threads = Held()
    asyncio.get_running_loop().set_default_executor(threads)

    walk = asyncio.create_task(verification.verify(store))
    await asyncio.wait_for(threads.asked.wait(), SOON_S)
    async with store.read() as session:
        await session.read_clock()
        open_now = cast("QueuePool", store.engine.pool).checkedout()

    assert not walk.done()
    assert open_now == 1
    threads.go.set()
    assert (await walk).why is None


def _waiting(url: str) -> int:
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
        "AND datname = current_database()"
    )
    with psycopg.connect(url) as eye:
        found = eye.execute(query).fetchone()
    return int(found[0]) if found else 0
