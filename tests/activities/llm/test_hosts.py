"""Hosts that differ: failures within a 200, strict histories, names and sizes."""

import json
import re
from itertools import pairwise

import pytest
from pydantic import JsonValue

from keyturn.activities.llm.errors import ProviderError, ProviderRejected
from keyturn.activities.llm.simulator import SimRequest, SimStep, error, raw, say
from keyturn.orchestrator.rules.text.transcript import (
    AssistantMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from tests.activities.llm.questions import Desk, request

FAILED: dict[str, JsonValue] = {
    "choices are null": {"choices": None, "error": {"message": "no", "code": 502}},
    "choices are empty": {"choices": [], "error": {"message": "no", "code": 429}},
    "an error in words": {"error": "not enough memory"},
    "an error of another provider": {"type": "error", "error": {"message": "no"}},
}


@pytest.mark.parametrize("body", FAILED.values(), ids=FAILED.keys())
async def test_a_failure_inside_a_200_is_the_providers(desk: Desk, body: JsonValue):
    with pytest.raises(ProviderError):
        await desk.ask("openai", raw(json.dumps(body)))


BROKEN: dict[str, str] = {
    "a stream with an error": 'data: {"choices":[{"index":0,"delta":{"tool_calls":'
    '[{"index":0,"id":"a","function":{"name":"look","arguments":"{}"}}]}}]}\n\n'
    'data: {"error":{"code":502,"message":"hung up"}}\n\ndata: [DONE]\n\n',
    "a stream that just ends": 'data: {"choices":[{"index":0,"delta":{"tool_calls":'
    '[{"index":0,"id":"a","function":{"name":"look","arguments":"{}"}}]},'
    '"finish_reason":null}]}\n\n',
    "no choice and no error": '{"choices": [], "usage": {"prompt_tokens": 9}}',
    "an error in the choice": '{"choices":[{"finish_reason":"error","error":'
    '{"message":"hung up"},"message":{"content":"{}"}}]}',
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
async def test_a_reply_that_broke_off_is_told_apart(desk: Desk, body: str):
    reply = await desk.ask("openai", raw(body))

    assert reply.stop == "other"


async def test_a_message_stream_with_an_error_is_told_apart(desk: Desk):
    events: list[JsonValue] = [
        {"type": "message_start", "message": {"content": [], "usage": {}}},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "tool_use", "id": "t", "name": "look"},
        },
        {"type": "error", "error": {"message": "Overloaded"}},
    ]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)

    reply = await desk.ask("anthropic", raw(body))

    assert (reply.stop, reply.fault) == ("other", "Overloaded")


async def test_the_limits_name_stays_where_its_size_is_refused(desk: Desk):
    words = (
        "'max_tokens' or 'max_completion_tokens' is too large: 2048. This model's "
        "maximum context length is 2500 tokens (2048 > 2500 - 1200)."
    )
    asked = request(model="m-small")

    with pytest.raises(ProviderRejected):
        await desk.send("openai", error(400, message=words), asked)
    await desk.send("openai", say("{}"), asked)

    assert "max_tokens" in desk.seen[-1].body


def strict(seen: SimRequest) -> SimStep:
    """Answer as a server with a strict chat template does."""
    sent = seen.body["messages"]
    assert isinstance(sent, list)
    messages = [one for one in sent if isinstance(one, dict)]
    roles = [str(one["role"]) for one in messages]
    for made in re.findall(r'"id": "([^"]*)"', json.dumps(messages)):
        if not re.fullmatch("[a-zA-Z0-9]{9}", str(made)):
            return error(400, message="Tool call id was x but must be a-z, A-Z.")
    pairs = list(pairwise(roles))
    if ("tool", "user") in pairs:
        return error(400, message="Unexpected role 'user' after role 'tool'")
    if ("user", "user") in pairs:
        return error(400, message="Conversation roles must alternate user/assistant")
    if "system" in roles:
        return error(400, message="System role not supported")
    return say("{}")


async def test_a_strict_host_gets_its_history_and_is_remembered(desk: Desk):
    made = ToolCall(id="call_1_0", name="look", arguments="{}")
    asked = request(
        UserMessage(text="one"),
        UserMessage(text="two"),
        AssistantMessage(calls=(made,)),
        ToolMessage(call_id="call_1_0", text="{}"),
        UserMessage(text="three"),
        model="m-strict",
    )
    # The desk finds its scenario in the system text, which this host does not take.
    answers: list[int] = []

    def host(seen: SimRequest) -> SimStep:
        answers.append(1)
        return strict(seen)

    desk.strict = host
    await desk.providers["openai"].reply(asked, timeout_s=10)
    first = len(answers)
    await desk.providers["openai"].reply(asked, timeout_s=10)

    assert first <= 4
    assert len(answers) == first + 1, "the form that works was not remembered"
