"""Faults that the demo shop plays on purpose, for tests and demonstrations.

Only with `--faults` at its start: `PUT /faults` with `{"kind", "path", "times"}` sets
one, `DELETE /faults` clears them. Each leaves the same uncertainty as with a real
provider: `before` did nothing, all others may have done the work.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

# ASGI's own shapes: https://asgi.readthedocs.io/en/latest/specs/www.html
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

# before: 500, nothing done. after: done, then 500. busy: 429, nothing done. hang: done,
# then no answer. cut: done, then half an answer. slow: waits, then does it. garbage: done,
# then a page for people.
Kind = Literal["before", "after", "busy", "hang", "cut", "slow", "garbage"]


REFUSALS = {
    "before": (500, "It broke down before it began."),
    "busy": (429, "Come back later."),
}


class Fault(BaseModel):
    """Which fault, at which path's beginning, for how many requests of a method."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    path: str = "/refunds"
    method: Literal["POST", "GET"] = "POST"
    times: int = Field(default=1, ge=1)
    seconds: float = Field(default=3.0, ge=0, le=600)

    def is_for(self, scope: Scope) -> bool:
        """Return whether this fault applies to a request."""
        return scope["method"] == self.method and scope["path"].startswith(self.path)


class ConnectionCut(Exception):
    """Raised on purpose within an answer: the server then closes the connection."""


def is_no_cut(record: logging.LogRecord) -> bool:
    """Filter connections cut on purpose out of the log: they are no errors."""
    return not (record.exc_info and isinstance(record.exc_info[1], ConnectionCut))


@dataclass
class Faults:
    """The faults that are set; each counts down."""

    left: list[Fault] = field(default_factory=list[Fault])

    async def set(self, request: Request) -> Response:
        """Take a fault over HTTP."""
        fault = Fault.model_validate_json(await request.body())
        self.left += [fault] * fault.times
        return Response(status_code=204)

    async def clear(self, request: Request) -> Response:
        """Forget all faults."""
        del request
        self.left.clear()
        return Response(status_code=204)

    def take(self, scope: Scope) -> Fault | None:
        """Return the fault of this request, used up, or None."""
        if scope["type"] != "http":
            return None
        found = next((f for f in self.left if f.is_for(scope)), None)
        if found:
            self.left.remove(found)
        return found


@dataclass(frozen=True)
class Faulty:
    """The shop behind its faults."""

    app: ASGIApp
    faults: Faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, or play the fault that is set for this request."""
        fault = self.faults.take(scope)
        match fault.kind if fault else None:
            case None:
                await self.app(scope, receive, send)
            case "before" | "busy" as kind:
                await _say(send, *REFUSALS[kind])
            case "after":
                await self._act(scope, receive)
                await _say(send, 500, "It broke down after it was done.")
            case "cut":
                await _cut(send, await self._act(scope, receive))
            case "garbage":
                await self._act(scope, receive)
                await _say(send, 200, "<html>Maintenance</html>", is_json=False)
            case "hang":
                await self._act(scope, receive)
                await asyncio.Event().wait()
            case "slow":
                await asyncio.sleep(fault.seconds if fault else 0)
                await self.app(scope, receive, send)

    async def _act(self, scope: Scope, receive: Receive) -> bytes:
        """Do the work and return the answer that the client will not get."""
        parts: list[bytes] = []

        async def keep(message: Message) -> None:
            parts.append(message.get("body", b""))

        await self.app(scope, receive, keep)
        return b"".join(parts)


async def _say(send: Send, status: int, words: str, *, is_json: bool = True) -> None:
    body = json.dumps({"error": words}).encode() if is_json else words.encode()
    await _start(send, status, len(body))
    await send({"type": "http.response.body", "body": body})


async def _cut(send: Send, body: bytes) -> None:
    await _start(send, 200, len(body))
    half = body[: len(body) // 2]
    await send({"type": "http.response.body", "body": half, "more_body": True})
    raise ConnectionCut


async def _start(send: Send, status: int, length: int) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(length).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
