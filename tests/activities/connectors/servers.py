"""Servers that say exactly what a test has them say, byte by byte."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field

# Said instead of a reply: the connection is cut.
CUT = "CUT"
# Said instead of a reply: nothing, for longer than anybody waits.
SILENCE = "SILENCE"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GREETED: Mapping[str, str] = {
    "greeting": "220 ready",
    "EHLO": "250-server\r\n250-8BITMIME\r\n250 SMTPUTF8",
    "AUTH": "235 2.7.0 welcome",
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go on",
    "content": "250 2.0.0 taken",
    "RSET": "250 ok",
    "QUIT": "221 bye",
}


@dataclass
class Heard:
    """What a server was sent: heads of requests, or commands and mails."""

    port: int = 0
    all: list[str] = field(default_factory=list[str])


@asynccontextmanager
async def http_server(*replies: bytes | str) -> AsyncGenerator[Heard]:
    """Answer each request with the next reply, the last one again and again."""
    heard, left = Heard(), list(replies)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        heard.all.append(head)
        for line in head.split("\r\n"):
            name, _, value = line.partition(":")
            if name.lower() == "content-length":
                await reader.readexactly(int(value))
        await _say(left.pop(0) if len(left) > 1 else left[0], writer)

    async with _listening(serve, heard):
        yield heard


def answer(status: int, body: str = "", kind: str = "application/json") -> bytes:
    """The bytes of an answer."""
    data = body.encode()
    head = f"HTTP/1.1 {status} So\r\nContent-Type: {kind}\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


@asynccontextmanager
async def smtp_server(said: Mapping[str, str]) -> AsyncGenerator[Heard]:
    """Speak SMTP as told: `said` names replies by command, `greeting` and `content`."""
    heard, replies = Heard(), {**GREETED, **said}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _reply("greeting", writer)
        while line := (await reader.readline()).decode("utf-8", "replace").strip():
            heard.all.append(line)
            name = line.split()[0].upper()
            await _reply(name, writer)
            if name == "DATA" and replies["DATA"].startswith("354"):
                mail = await reader.readuntil(b"\r\n.\r\n")
                heard.all.append(mail.decode("utf-8", "replace"))
                await _reply("content", writer)

    async def _reply(name: str, writer: asyncio.StreamWriter) -> None:
        reply = replies.get(name, "502 what")
        await _say(
            reply if reply in (CUT, SILENCE) else f"{reply}\r\n".encode(), writer
        )

    async with _listening(serve, heard):
        yield heard


async def _say(reply: bytes | str, writer: asyncio.StreamWriter) -> None:
    if reply == SILENCE:
        await asyncio.sleep(60)
    if isinstance(reply, bytes):
        writer.write(reply)
        await writer.drain()
    if reply == CUT or not isinstance(reply, bytes) or reply.startswith(b"HTTP"):
        writer.close()


@asynccontextmanager
async def _listening(serve: Serve, heard: Heard) -> AsyncGenerator[None]:
    open_ones: list[asyncio.Task[None]] = []

    async def guarded(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        if task is not None:
            open_ones.append(task)
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
            await serve(reader, writer)

    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    heard.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        server.close()
        # What ends by itself has a moment for it: a cut is not a cancel.
        if open_ones:
            await asyncio.wait(open_ones, timeout=0.2)
        for task in open_ones:
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)
