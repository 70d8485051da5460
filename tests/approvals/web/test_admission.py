"""A busy web process asks who starts runs to come again, and answers everybody else."""

import asyncio

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from keyturn.approvals.web.admission import Admission
from tests.approvals.people import People


class Slow:
    """An application that answers when it is told to, and counts who waits."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.waiting = asyncio.Semaphore(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        self.waiting.release()
        if scope["method"] == "POST":
            await self.go.wait()
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
async def busy(slow: Slow) -> httpx2.AsyncClient:
    """A client of an application that starts two runs at once at the most."""
    transport = httpx2.ASGITransport(app=Admission(slow, most=2))
    return httpx2.AsyncClient(transport=transport, base_url="http://keyturn.test")


@pytest.mark.parametrize("path", ["/api/v1/runs", "/runs/new"])
async def test_start_on_top_of_too_many_is_answered_429_at_once(
    slow: Slow, busy: httpx2.AsyncClient, path: str
) -> None:
    first = [asyncio.create_task(busy.post(path)) for _ in range(2)]
    for _ in first:
        await slow.waiting.acquire()

    refused = await busy.post(path)

    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "1"
    assert "yours was not started. Send it again in 1 s." in refused.json()["detail"]
    slow.go.set()
    assert [(await one).status_code for one in first] == [202, 202]
    assert (await busy.post(path)).status_code == 202


async def test_full_house_of_starts_holds_up_nothing_else(
    slow: Slow, busy: httpx2.AsyncClient
) -> None:
    starts = [asyncio.create_task(busy.post("/api/v1/runs")) for _ in range(2)]
    for _ in starts:
        await slow.waiting.acquire()

    shown = await busy.get("/api/v1/runs")
    switch = asyncio.create_task(busy.post("/api/v1/switches"))
    await slow.waiting.acquire()

    assert shown.status_code == 202
    slow.go.set()
    assert (await switch).status_code == 202
    await asyncio.gather(*starts)


async def test_start_that_breaks_down_gives_its_place_back(
    http: httpx2.AsyncClient, people: People
) -> None:
    headers = await people.token("ann")

    answers = [
        await http.post("/api/v1/runs", content=b"{", headers=headers)
        for _ in range(40)
    ]

    assert {one.status_code for one in answers} == {422}
