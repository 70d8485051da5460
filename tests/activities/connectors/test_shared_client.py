"""What a process shares among calls of different customers: nothing that one left."""

import gzip
import re
import tracemalloc
import zlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import pytest
from authlib.integrations.httpx_client import AsyncOAuth2Client

from keyturn.activities import http_client
from keyturn.activities.connectors.books import HttpStatement
from keyturn.activities.connectors.http_service import HttpReader, HttpWriter
from keyturn.activities.connectors.source import client
from keyturn.activities.http_client import TooLarge
from keyturn.activities.llm.wire import transport
from keyturn.activities.toolbox import Actor
from tests.activities.connectors.servers import Heard, answer, http_server

ROOT = Path(__file__).parents[3]
CODE = [
    path
    for package in ("activities", "approvals", "orchestrator", "workflows")
    for path in (ROOT / package).rglob("*.py")
]
# One of a start's own, which asks our own processes whether they are ready.
OWN = {
    "activities/http_client.py",
    "orchestrator/cli/dev/second_half.py",
    # Hands on what it gets as it is.
    "orchestrator/cli/demo/temporal_ui.py",
}
COOKIE = "Set-Cookie: session=of-C-1; Path=/\r\n"
SMALL = 100_000


def with_cookie(status: int, body: str = "{}") -> bytes:
    head, _, rest = answer(status, body).partition(b"\r\n")
    return head + b"\r\n" + COOKIE.encode() + rest


def packed(data: bytes, coding: str) -> bytes:
    return (
        f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n"
        f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    ).encode() + data


def actor(customer: str) -> Actor:
    return Actor(
        run=f"run-{customer}", call="c", tenant="t", customer=customer, contact=None
    )


async def two_calls(heard: Heard, kind: str, shared: httpx2.AsyncClient) -> None:
    url = f"http://127.0.0.1:{heard.port}"
    for customer in ("C-1", "C-2"):
        match kind:
            case "read":
                await HttpReader(shared, url, actor(customer)).get("/orders")
            case "write":
                writer = HttpWriter(shared, url, actor(customer), f"k-{customer}", None)
                await writer.post("/refunds", {})
            case "books":
                statement = HttpStatement(shared, f"{url}/books", None)
                await statement.lines(datetime.now(UTC))
            case _:
                await shared.get(url)


@asynccontextmanager
async def made(kind: str) -> AsyncGenerator[httpx2.AsyncClient]:
    match kind:
        case "model":
            one: httpx2.AsyncClient = transport.Client()
        case "sign-in":
            # Its own parent is the other library's, under the same name.
            one = AsyncOAuth2Client(client_id="x", **http_client.bounds())  # pyright: ignore[reportAssignmentType]
        case "any":
            one = http_client.client()
        case _:
            one = client()
    async with one:
        yield one


@pytest.mark.parametrize("kind", ["read", "write", "books", "model", "any"])
async def test_a_cookie_for_one_customer_goes_out_with_no_other_call(kind: str) -> None:
    body = '{"lines": [], "next": null}'
    async with http_server(with_cookie(200, body)) as heard, made(kind) as shared:
        await two_calls(heard, kind, shared)

        assert list(shared.cookies.jar) == []
    first, second = heard.all
    assert "cookie" not in second.lower()
    # Nothing of the first call at all: neither its customer, nor its key, nor its run.
    assert "C-1" not in second
    assert ("C-1" in first) == (kind in ("read", "write"))


@pytest.mark.parametrize("status", [302, 401, 500])
async def test_a_cookie_of_an_answer_that_is_no_success_is_not_kept(
    status: int,
) -> None:
    async with http_server(with_cookie(status)) as heard, client() as shared:
        url = f"http://127.0.0.1:{heard.port}"
        for _ in range(2):
            await shared.get(url)
    assert "cookie" not in heard.all[1].lower()


def test_every_client_of_ours_is_made_in_one_place() -> None:
    made_by_hand = re.compile(r"\bhttpx2?\.(AsyncClient|Client)\(\s*(?!\*\*)")
    found = {
        str(path.relative_to(ROOT))
        for path in CODE
        if made_by_hand.search(path.read_text())
    }
    # The command line speaks for one person, to our own server.
    assert found - OWN == {"orchestrator/cli/api.py"}


@cache
def bomb(megabytes: int, wbits: int) -> bytes:
    """So many megabytes of nothing, packed into a few kilobytes of each."""
    packing = zlib.compressobj(9, wbits=wbits)
    parts = [packing.compress(bytes(1024 * 1024)) for _ in range(megabytes)]
    return b"".join((*parts, packing.flush()))


PACKED: dict[str, Callable[[], bytes]] = {
    "a gzip of 300 MB": lambda: packed(bomb(300, 31), "gzip"),
    "a zlib stream": lambda: packed(bomb(50, 15), "deflate"),
    "much that stands for nothing": lambda: packed(gzip.compress(b"") * 9_999, "gzip"),
}


@pytest.mark.parametrize("name", PACKED)
async def test_a_small_answer_that_unpacks_to_much_takes_no_memory(name: str) -> None:
    shared = http_client.client(largest=SMALL)
    async with http_server(PACKED[name]()) as heard, shared:
        tracemalloc.start()
        try:
            with pytest.raises(TooLarge, match="more than 100000 bytes"):
                await shared.get(f"http://127.0.0.1:{heard.port}")
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < 20 * 1024**2


TEXT = b'{"a": "' + b"x" * 70_000 + b'"}'


def raw_deflate(data: bytes) -> bytes:
    packing = zlib.compressobj(wbits=-15)
    return packing.compress(data) + packing.flush()


WAYS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "two members": (
        "gzip",
        lambda: gzip.compress(TEXT[:9]) + gzip.compress(TEXT[9:]),
    ),
    "spelled otherwise": ("GZIP ", lambda: gzip.compress(TEXT)),
    "by its old name": ("x-gzip", lambda: gzip.compress(TEXT)),
    "padded": ("gzip", lambda: gzip.compress(TEXT) + bytes(512)),
    "beside identity": ("identity, gzip", lambda: gzip.compress(TEXT)),
    "deflate": ("deflate", lambda: zlib.compress(TEXT)),
    "deflate without its head": ("deflate", lambda: raw_deflate(TEXT)),
    "not at all": ("identity", lambda: TEXT),
}


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_packed_unasked_is_unpacked(way: str) -> None:
    coding, make = WAYS[way]
    text, data = TEXT, make()
    async with http_server(packed(data, coding)) as heard, client() as shared:
        found = await shared.get(f"http://127.0.0.1:{heard.port}")

    assert found.content == text
    assert "accept-encoding: identity" in heard.all[0].lower()


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_what_breaks_off_is_not_taken_for_whole(coding: str) -> None:
    data = gzip.compress(TEXT) if coding == "gzip" else zlib.compress(TEXT)
    async with http_server(packed(data[:-9], coding)) as heard, client() as shared:
        with pytest.raises(httpx2.ReadError, match="breaks off"):
            await shared.get(f"http://127.0.0.1:{heard.port}")


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_is_one(status: int) -> None:
    bare = (
        f"HTTP/1.1 {status} So\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
    )
    async with http_server(bare.encode()) as heard, client() as shared:
        found = await shared.get(f"http://127.0.0.1:{heard.port}")
    assert (found.status_code, found.content) == (status, b"")


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("br", b"x"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0)),
        ("gzip", b"no gzip"),
    ],
    ids=["another", "twice", "not at all"],
)
async def test_what_cannot_be_unpacked_is_a_failed_read(
    coding: str, data: bytes
) -> None:
    async with http_server(packed(data, coding)) as heard, client() as shared:
        with pytest.raises(httpx2.ReadError, match="packed"):
            await shared.get(f"http://127.0.0.1:{heard.port}")


async def test_a_client_of_another_library_is_bounded_too() -> None:
    async with http_server(packed(bomb(300, 31), "gzip")) as heard:
        options: dict[str, Any] = http_client.bounds(largest=SMALL)
        made: Any = AsyncOAuth2Client(client_id="x", **options)
        async with made as signing_in:
            url = f"http://127.0.0.1:{heard.port}"
            with pytest.raises(TooLarge):
                await signing_in.request("GET", url, withhold_token=True)
