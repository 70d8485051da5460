"""`/metrics`: for whoever has its token, and counted once for all who ask at once."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr
from sqlalchemy import event

from keyturn.approvals.web.app import create_app
from keyturn.approvals.web.shared_work import SharedWork
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store
from tests.approvals import scraper
from tests.approvals.desk import Desk
from tests.approvals.people import People

READERS = 20
COUNTING = "count(*)"


@contextmanager
def statements(store: Store) -> Generator[list[str]]:
    """What is asked of a database meanwhile."""
    asked: list[str] = []

    def keep(*given: Any) -> None:
        asked.append(given[2])

    engine = store.engine.sync_engine
    event.listen(engine, "before_cursor_execute", keep)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", keep)


async def _ask(http: httpx2.AsyncClient) -> httpx2.Response:
    return await http.get("/metrics", headers=scraper.HEADERS)


async def test_twenty_readers_at_once_are_counted_for_once(
    http: httpx2.AsyncClient, store: Store, desk: Desk
) -> None:
    await desk.approval(await desk.run())
    with statements(store) as of_one:
        first = await _ask(http)
    with statements(store) as of_many:
        found = await asyncio.gather(*(_ask(http) for _ in range(READERS)))

    assert len(of_one) > 5
    assert of_many == []
    assert {one.text for one in found} == {first.text}
    assert "keyturn_approvals_pending 1.0" in first.text


async def test_those_who_ask_while_it_is_counted_wait_for_it() -> None:
    counted, go = 0, asyncio.Event()

    async def work() -> int:
        nonlocal counted
        counted += 1
        await go.wait()
        return counted

    shared = SharedWork[int](keep_s=60.0)
    asking = [asyncio.create_task(shared.result(work)) for _ in range(READERS)]
    await asyncio.sleep(0)
    # Who begins it may leave.
    asking[0].cancel()
    go.set()

    assert await asyncio.gather(*asking[1:]) == [1] * (READERS - 1)
    assert await shared.result(work) == 1


async def test_what_failed_is_told_to_all_and_done_again_for_the_next() -> None:
    is_away = True

    async def work() -> str:
        await asyncio.sleep(0)
        if is_away:
            raise OSError("away")
        return "there"

    shared = SharedWork[str](keep_s=60.0)
    found = await asyncio.gather(
        *(shared.result(work) for _ in range(3)), return_exceptions=True
    )
    is_away = False

    assert [str(one) for one in found] == ["away"] * 3
    assert await shared.result(work) == "there"


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": scraper.TOKEN}],
    ids=["none", "wrong", "bare"],
)
async def test_nobody_else_reads_them(
    http: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await http.get("/metrics", headers=headers)

    assert answer.status_code == 401
    assert (
        "accepts only `Authorization: Bearer …` with the value of KEYTURN_METRICS_TOKEN"
        in answer.json()["detail"]
    )


async def test_an_admins_token_does_not_open_them(
    http: httpx2.AsyncClient, people: People
) -> None:
    headers = await people.token("ada", role="admin")

    assert (await http.get("/metrics", headers=headers)).status_code == 401


@pytest.mark.parametrize("token", [None, SecretStr("")], ids=["unset", "empty"])
async def test_without_a_token_they_are_closed_and_say_how_to_open_them(
    store: Store, token: SecretStr | None
) -> None:
    app = create_app(Settings(metrics_token=token), store, None, Signer(new_key()))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://x.test"
    ) as http:
        answer = await http.get("/metrics", headers={"Authorization": "Bearer "})

    assert answer.status_code == 401
    assert "KEYTURN_METRICS_TOKEN is not set. Give the web" in answer.json()["detail"]
