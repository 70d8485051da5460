"""Temporal's UI is there for this machine's own browser, and for no other page."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx2
import pytest

from keyturn.orchestrator.cli.demo.temporal_ui import build
from tests.activities.connectors.servers import Heard, answer, http_server

OWN = "http://127.0.0.1:8233"


@asynccontextmanager
async def ui(*replies: bytes) -> AsyncGenerator[tuple[httpx2.AsyncClient, Heard]]:
    async with http_server(*replies) as heard:
        transport = httpx2.ASGITransport(app=build(f"http://127.0.0.1:{heard.port}"))
        async with httpx2.AsyncClient(transport=transport, base_url=OWN) as client:
            yield client, heard


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8233", "localhost:8233", "localhost", "[::1]:8233", "LOCALHOST"]
)
async def test_it_is_handed_on_under_this_machine_s_names(host: str) -> None:
    async with ui(answer(200, '{"namespaces": []}')) as (client, heard):
        found = await client.get("/api/v1/namespaces?a=%2F", headers={"Host": host})

    assert (found.status_code, found.json()) == (200, {"namespaces": []})
    assert heard.all[0].startswith("GET /api/v1/namespaces?a=%2F HTTP/1.1")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8233",
        "127.0.0.1.evil.example:8233",
        "127.0.0.1@evil.example",
        "localhost.evil.example",
        "169.254.169.254",
        "",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_page_whose_name_leads_here_gets_nothing(
    host: str, method: str
) -> None:
    async with ui(answer(200, "{}")) as (client, heard):
        found = await client.request(
            method, "/api/v1/namespaces", headers={"Host": host}
        )

    assert found.status_code == 403
    assert "Open the address that `keyturn dev` printed" in found.text
    assert heard.all == []


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_another_site_s_page_changes_nothing(site: str) -> None:
    async with ui(answer(200, "{}")) as (client, heard):
        headers = {"Sec-Fetch-Site": site}
        refused = await client.post("/api/v1/terminate", headers=headers)
        read = await client.get("/", headers=headers)

    assert (refused.status_code, read.status_code) == (403, 200)
    assert len(heard.all) == 1


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
async def test_a_browser_that_says_its_page_alone_is_heard(origin: str) -> None:
    async with ui(answer(200, "{}")) as (client, heard):
        refused = await client.post("/api/v1/terminate", headers={"Origin": origin})
        own = await client.post("/api/v1/x", headers={"Origin": OWN})

    assert (refused.status_code, own.status_code) == (403, 200)
    assert len(heard.all) == 1


async def test_an_address_that_is_none_is_said() -> None:
    async with ui(answer(200, "{}")) as (client, heard):
        found = await client.get(f"{OWN}//x")

    assert found.status_code in (200, 400)
    assert len(heard.all) <= 1


async def test_its_own_page_may_change_something() -> None:
    async with ui(answer(201, "{}")) as (client, heard):
        headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}
        found = await client.post("/api/v1/x", headers=headers, content=b'{"a": 1}')

    assert found.status_code == 201
    assert "content-length: 8" in heard.all[0].lower()


async def test_an_answer_is_handed_on_as_it_is() -> None:
    moved = b"HTTP/1.1 308 Moved\r\nLocation: /here\r\nContent-Length: 0\r\n\r\n"
    async with ui(moved) as (client, _):
        found = await client.get("/")

    assert (found.status_code, found.headers["location"]) == (308, "/here")


async def test_a_ui_that_is_away_is_said() -> None:
    transport = httpx2.ASGITransport(app=build("http://127.0.0.1:1"))
    async with httpx2.AsyncClient(transport=transport, base_url=OWN) as client:
        found = await client.get("/")

    assert (found.status_code, found.text) == (
        502,
        "Temporal's UI does not answer. Try again in a moment.",
    )
