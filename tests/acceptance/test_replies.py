"""Recorded replies of real providers, each served to its adapter and the real SDK."""

import json
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, JsonValue

from keyturn.activities.llm.errors import ProviderError, ProviderRejected, RateLimited
from keyturn.activities.llm.provider import Provider
from keyturn.activities.llm.route import build_providers, close_providers
from keyturn.activities.llm.simulator import SimRequest, raw, running_simulator
from keyturn.orchestrator.rules.errors import MalformedJson
from keyturn.orchestrator.rules.text.canonical import parse
from keyturn.orchestrator.rules.text.transcript import (
    ModelReply,
    ModelRequest,
    ToolCall,
    UserMessage,
)

FOLDER = Path(__file__).parents[3] / "shared" / "cases" / "replies"
FILES = {"openai": "openai-chat.jsonl", "anthropic": "anthropic-messages.jsonl"}

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"NOT TESTED: the recorded replies are not at {FOLDER}"
)


class Record(BaseModel):
    """One recorded answer and, for plain 200 replies, what is to be read from it."""

    model_config = ConfigDict(frozen=True)

    id: str
    status: int
    content_type: str | None
    retry_after: str | None
    stream: bool
    body: str
    expect: dict[str, Any] | None


@cache
def records(provider: str) -> tuple[Record, ...]:
    if not FOLDER.is_dir():
        return ()
    with (FOLDER / FILES[provider]).open(encoding="utf-8") as lines:
        return tuple(map(Record.model_validate_json, lines))


def kind(record: Record) -> str:
    if record.status != 200:
        return "error"
    if record.stream:
        return "stream"
    return "reply" if record.expect else "oddity"


def each(*, of: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("provider", "record"),
        [
            pytest.param(provider, record, id=record.id)
            for provider in FILES
            for record in records(provider)
            if kind(record) == of
        ],
    )


@pytest.fixture(scope="module")
async def providers(anyio_backend: str) -> AsyncIterator[dict[str, Provider]]:
    assert anyio_backend == "asyncio"
    async with running_simulator(recorded) as url:
        built = build_providers(openai_base_url=f"{url}/v1", anthropic_base_url=url)
        yield built
        await close_providers(built)


def recorded(request: SimRequest):
    """Answer with the record that the user's words name."""
    [key] = request.user_texts
    [record] = [r for r in records(request.wire) if r.id == key]
    waits = {"retry-after": record.retry_after} if record.retry_after else {}
    return raw(
        record.body,
        status=record.status,
        content_type=record.content_type or "application/json",
        headers=waits,
    )


async def ask(provider: Provider, record: Record) -> ModelReply:
    words = (UserMessage(text=record.id),)
    request = ModelRequest(model="recorded", system="", messages=words)
    return await provider.reply(request, timeout_s=10)


@each(of="reply")
async def test_reply_is_read_as_recorded(
    providers: dict[str, Provider], provider: str, record: Record
):
    expected = record.expect or {}

    reply = await ask(providers[provider], record)

    assert reply.usage
    assert as_expected(reply) == expected | {
        "text": expected["text"] or "",
        "refusal": expected.get("refusal") or None if provider == "openai" else None,
    }


@each(of="oddity")
async def test_odd_answer_is_a_reply_all_the_same(
    providers: dict[str, Provider], provider: str, record: Record
):
    reply = await ask(providers[provider], record)

    assert reply.stop in ("filter", "other")


@each(of="stream")
async def test_stream_that_nobody_asked_for_is_folded(
    providers: dict[str, Provider], provider: str, record: Record
):
    reply = await ask(providers[provider], record)

    assert reply.text or reply.calls or reply.stop == "other"


@each(of="error")
async def test_error_becomes_the_class_of_its_status(
    providers: dict[str, Provider], provider: str, record: Record
):
    with pytest.raises(ProviderError) as caught:
        await ask(providers[provider], record)

    error = caught.value
    assert "Traceback" not in str(error)
    if record.status == 429:
        assert isinstance(error, RateLimited)
        assert error.retry_after_s == (
            float(record.retry_after) if record.retry_after else None
        )
    elif "tool_use_failed" not in record.body:
        assert isinstance(error, ProviderRejected)
        assert error.status == record.status
        assert error.words[:20] in json.loads(record.body)["error"]["message"]


def as_expected(reply: ModelReply) -> dict[str, Any]:
    """Return a reply in the form of the records' `expect`."""
    assert reply.usage
    return {
        "text": reply.text,
        "refusal": reply.refusal,
        "calls": [
            {"id": call.id, "name": call.name, "arguments": arguments(call)}
            for call in reply.calls
        ],
        "stop": reply.stop_raw,
        "model": reply.model,
        "input_tokens": reply.usage.input_tokens,
        "output_tokens": reply.usage.output_tokens,
    }


def arguments(call: ToolCall) -> JsonValue:
    try:
        return parse(call.arguments)
    except MalformedJson:
        return {"$malformed": call.arguments}
