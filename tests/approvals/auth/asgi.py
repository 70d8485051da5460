"""Requests as they arrive: any path as it is, and the first words of a stream."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlencode

from starlette.types import ASGIApp

STREAM = b"text/event-stream"


@dataclass
class Answer:
    """What came back; of a stream, what came before the visitor left."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    body: bytes = b""

    @property
    def text(self) -> str:
        return self.body.decode()


async def ask(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: object = None,
    form: Mapping[str, str] | None = None,
    listen_s: float = 0,
) -> Answer:
    """Send one request; a stream is left after `listen_s`."""
    kind, sent = _written(body, form)
    visit = _Visit(sent)
    lines = {**(headers or {}), **kind}
    serving = asyncio.ensure_future(
        app(_scope(method, path, lines), visit.receive, visit.send)
    )
    starting = asyncio.ensure_future(visit.begun.wait())
    try:
        await asyncio.wait((serving, starting), return_when=asyncio.FIRST_COMPLETED)
        if visit.answer.headers.get(b"content-type", b"").startswith(STREAM):
            await asyncio.wait((serving,), timeout=listen_s)
        else:
            await serving
    finally:
        starting.cancel()
        serving.cancel()
        await asyncio.wait((serving,))
    return visit.answer


class _Visit:
    """One request on its way, with what came back so far."""

    def __init__(self, body: bytes) -> None:
        self.answer = Answer()
        self.begun = asyncio.Event()
        self._given = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive(self) -> dict[str, Any]:
        if self._given:
            return self._given.pop()
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.answer.status = message["status"]
            self.answer.headers = dict(message["headers"])
            self.begun.set()
        else:
            self.answer.body += message.get("body", b"")


def _written(
    body: object, form: Mapping[str, str] | None
) -> tuple[dict[str, str], bytes]:
    if form is not None:
        kind = "application/x-www-form-urlencoded"
        return {"content-type": kind}, urlencode(form).encode()
    if body is not None:
        return {"content-type": "application/json"}, json.dumps(body).encode()
    return {}, b""


def _scope(method: str, path: str, headers: Mapping[str, str]) -> dict[str, Any]:
    plain, _, query = path.partition("?")
    lines = {"host": "keyturn.test", "accept": "application/json", **headers}
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(plain),
        "raw_path": plain.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), v.encode()) for name, v in lines.items()],
        "client": ("127.0.0.1", 50_000),
        "server": ("keyturn.test", 80),
        "state": {},
    }
