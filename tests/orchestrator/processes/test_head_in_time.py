"""A connection on which no request comes ends; one that is answered goes on."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from keyturn.orchestrator.processes.head_in_time import HeadInTime
from tests.servers.ports import free_port

SHORT_S = 1.0
LONG_S = 120.0
REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 3\r\n\r\n"


class Brief(HeadInTime):
    within_s = SHORT_S


async def slow(request: Request) -> PlainTextResponse:
    body = await request.body()
    await asyncio.sleep(1.2 * SHORT_S)
    return PlainTextResponse(f"{len(body)} bytes")


@asynccontextmanager
async def serving() -> AsyncGenerator[int]:
    port = free_port()
    app = Starlette(routes=[Route("/", slow, methods=["GET", "POST"])])
    server = uvicorn.Server(
        uvicorn.Config(
            app, port=port, log_level="warning", http=Brief, timeout_keep_alive=60
        )
    )
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield port
    server.should_exit = True
    await running


@asynccontextmanager
async def connected(
    port: int,
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(LONG_S):
        yield reader, writer
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    return await reader.readexactly(len(b"0 bytes"))


async def test_a_connection_that_says_nothing_is_ended() -> None:
    async with serving() as port, connected(port) as (reader, _):
        assert await reader.read() == b""


async def test_a_head_that_comes_by_the_byte_is_cut() -> None:
    async with serving() as port, connected(port) as (reader, writer):
        reading = asyncio.create_task(reader.read())
        with suppress(ConnectionError):
            while not reading.done():
                writer.write(b"G")
                await writer.drain()
                await asyncio.sleep(SHORT_S / 50)
        with suppress(ConnectionError):
            assert await reading == b""


async def test_what_is_being_answered_is_not_cut_and_may_ask_again() -> None:
    async with serving() as port, connected(port) as (reader, writer):
        for _ in range(2):
            writer.write(REQUEST[:9])
            await writer.drain()
            await asyncio.sleep(SHORT_S / 50)
            writer.write(REQUEST[9:])
            assert await answer(reader) == b"0 bytes"
            # Between two requests the keep-alive's time counts, not a head's.
            await asyncio.sleep(1.2 * SHORT_S)
        writer.write(REQUEST[:9])
        assert await reader.read() == b""


async def test_a_body_has_a_bound_of_its_own() -> None:
    async with serving() as port, connected(port) as (reader, writer):
        writer.write(UPLOAD)
        for _ in range(3):
            await asyncio.sleep(SHORT_S / 2)
            writer.write(b"x")
            await writer.drain()
        assert await answer(reader) == b"3 bytes"
