"""The simulator's HTTP server: both wire formats over the same scenarios."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import JsonValue

from keyturn.activities.llm.simulator import anthropic_wire, openai_wire
from keyturn.activities.llm.simulator.request import SimRequest, WireReader
from keyturn.activities.llm.simulator.scenarios import Scenario, default
from keyturn.activities.llm.simulator.step import (
    Answer,
    Cut,
    Failure,
    Raw,
    SimStep,
    Slow,
)

LABEL: Final = {"x-simulated": "keyturn: scripted reply, no model was asked"}


def app(scenarios: Sequence[Scenario]) -> FastAPI:
    """Return the server; the first scenario that has a step answers."""
    chat = _endpoint(openai_wire.OpenAIReader(), scenarios)
    messages = _endpoint(anthropic_wire.AnthropicReader(), scenarios)
    server = FastAPI(openapi_url=None)
    # Plain routes: FastAPI's own would parse every body first.
    for path in ("/v1/chat/completions", "/chat/completions"):
        server.add_route(path, chat, methods=["POST"])
    server.add_route("/v1/messages", messages, methods=["POST"])
    server.add_route("/healthz", _healthz)
    return server


class ConnectionCut(Exception):
    """Raised on purpose within an answer: the server then closes the connection."""


def _cut(body: bytes, share: float) -> Response:
    """Announce the whole body, send a share of it and break off."""

    async def part() -> AsyncIterator[bytes]:
        yield body[: int(len(body) * share)]
        raise ConnectionCut

    headers = LABEL | {"content-length": str(len(body))}
    return StreamingResponse(part(), media_type="application/json", headers=headers)


def _endpoint(
    reader: WireReader, scenarios: Sequence[Scenario]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        data = await request.body()
        try:
            body: JsonValue = json.loads(data)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict) or body.get("stream"):
            words = "The simulator takes one JSON object and does not stream."
            return _respond(Failure(400, words), reader)
        asked = SimRequest(body, request.headers, reader)
        # About four bytes a token: below every bound, like a real provider.
        step = await _waited(_step(asked, scenarios), request)
        return _played(step, asked, len(data) // 4 + 1)

    return endpoint


def _step(asked: SimRequest, scenarios: Iterable[Scenario]) -> SimStep:
    for scenario in scenarios:
        if (step := scenario(asked)) is not None:
            return step
    return default(asked)


async def _waited(step: SimStep, request: Request) -> Answer | Failure | Cut | Raw:
    while isinstance(step, Slow):
        with suppress(TimeoutError):
            # Wakes early when the client disconnects, so that none waits in vain.
            await asyncio.wait_for(_client_gone(request), step.seconds)
        step = step.then
    return step


async def _client_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _played(
    step: Answer | Failure | Cut | Raw, asked: SimRequest, input_tokens: int
) -> Response:
    match step:
        case Answer():
            body = _body(step, asked, input_tokens)
            return Response(body, media_type="application/json", headers=LABEL)
        case Cut(answer=answer, share=share):
            return _cut(_body(answer, asked, input_tokens), share)
        case Failure() | Raw():
            return _respond(step, asked.reader)


def _body(answer: Answer, asked: SimRequest, input_tokens: int) -> bytes:
    wire = openai_wire if asked.wire == "openai" else anthropic_wire
    return wire.answer_body(answer, asked, input_tokens=input_tokens)


def _respond(step: Failure | Raw, reader: WireReader) -> Response:
    if isinstance(step, Raw):
        headers = LABEL | dict(step.headers)
        return Response(
            step.body, step.status, media_type=step.content_type, headers=headers
        )
    wire = openai_wire if reader.wire == "openai" else anthropic_wire
    wait = step.retry_after_s
    headers = LABEL if wait is None else LABEL | {"retry-after": f"{wait:g}"}
    return Response(
        wire.failure_body(step),
        step.status,
        media_type="application/json",
        headers=headers,
    )


async def _healthz(request: Request) -> Response:
    del request
    return JSONResponse({"status": "ok", "simulator": True})
