"""The chat completions format, seen from the server."""

import json
from collections.abc import Iterator
from secrets import token_hex

from pydantic import JsonValue

from keyturn.activities.llm.simulator.request import Json, SimRequest, Wire
from keyturn.activities.llm.simulator.step import Answer, Failure, SimCall
from keyturn.activities.llm.wire.body import as_list, as_object, as_text
from keyturn.orchestrator.rules.text.transcript import (
    AssistantMessage,
    Message,
    Stop,
    ToolCall,
    ToolMessage,
    UserMessage,
)

_REASONS: dict[Stop, str] = {
    "end": "stop",
    "calls": "tool_calls",
    "length": "length",
    "refusal": "stop",
    "filter": "content_filter",
    "other": "other",
}


class OpenAIReader:
    """Reads chat completion requests."""

    wire: Wire = "openai"

    def system(self, body: Json) -> str:
        """Return the system messages' text."""
        return "\n\n".join(
            _text(message.get("content"))
            for message in map(as_object, as_list(body.get("messages")))
            if message.get("role") in ("system", "developer")
        )

    def messages(self, body: Json) -> Iterator[Message]:
        """Yield all messages except the system messages."""
        for message in map(as_object, as_list(body.get("messages"))):
            text = _text(message.get("content"))
            match message.get("role"):
                case "user":
                    yield UserMessage(text=text)
                case "assistant":
                    asked = map(as_object, as_list(message.get("tool_calls")))
                    yield AssistantMessage(text=text, calls=tuple(map(_asked, asked)))
                case "tool":
                    call_id = as_text(message.get("tool_call_id"))
                    yield ToolMessage(call_id=call_id, text=text)
                case _:
                    pass

    def user_texts(self, body: Json) -> Iterator[str]:
        """Yield the user's messages as text."""
        for message in map(as_object, as_list(body.get("messages"))):
            if message.get("role") == "user":
                yield _text(message.get("content"))

    def last_call(self, body: Json) -> ToolCall | None:
        """Return the latest call."""
        for message in map(as_object, reversed(as_list(body.get("messages")))):
            if asked := as_list(message.get("tool_calls")):
                return _asked(as_object(asked[-1]))
        return None

    def tools(self, body: Json) -> dict[str, Json]:
        """Return the parameter schemas by tool name."""
        entries = map(as_object, as_list(body.get("tools")))
        functions = [as_object(entry.get("function")) for entry in entries]
        return {
            as_text(f.get("name")): as_object(f.get("parameters")) for f in functions
        }

    def output_schema(self, body: Json) -> Json | None:
        """Return the schema in `response_format`."""
        form = as_object(as_object(body.get("response_format")).get("json_schema"))
        return as_object(form.get("schema")) if "schema" in form else None

    def max_output_tokens(self, body: Json) -> int:
        """Return the limit under either of its names."""
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        return limit if isinstance(limit, int) else 4096


def answer_body(answer: Answer, request: SimRequest, *, input_tokens: int) -> bytes:
    """Return a chat completion."""
    message: Json = {"role": "assistant", "content": answer.text or None}
    if answer.stop == "refusal":
        message |= {"content": None, "refusal": answer.text}
    if answer.calls:
        message["tool_calls"] = [_call(one) for one in answer.calls]
    output_tokens = output_tokens_of(answer, request)
    choice: Json = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": _REASONS[answer.stop],
    }
    completion: Json = {
        "id": f"chatcmpl-{token_hex(12)}",
        "object": "chat.completion",
        "created": 0,
        "model": request.model,
        "choices": [choice],
        "usage": {
            "prompt_tokens": input_tokens,
            "completion_tokens": output_tokens,
            "total_tokens": input_tokens + output_tokens,
        },
        "system_fingerprint": "keyturn-simulator",
    }
    return json.dumps(completion).encode()


def failure_body(failure: Failure) -> bytes:
    """Return an error in OpenAI's form."""
    kind = "invalid_request_error" if failure.status < 429 else "server_error"
    if failure.status == 429:
        kind = "rate_limit_error"
    said = {"message": failure.message, "type": kind, "param": None}
    return json.dumps({"error": said | {"code": failure.code}}).encode()


def output_tokens_of(answer: Answer, request: SimRequest) -> int:
    """Return about one token per four characters; a truncated answer uses them all."""
    if answer.stop == "length":
        return request.max_output_tokens
    written = len(answer.text) + sum(len(one.arguments) + 8 for one in answer.calls)
    return min(written // 4 + 1, request.max_output_tokens)


def _text(content: JsonValue) -> str:
    if isinstance(content, str):
        return content
    return "".join(
        as_text(part.get("text")) for part in map(as_object, as_list(content))
    )


def _asked(entry: Json) -> ToolCall:
    function = as_object(entry.get("function"))
    return ToolCall(
        id=as_text(entry.get("id")),
        name=as_text(function.get("name")),
        arguments=as_text(function.get("arguments")),
    )


def _call(one: SimCall) -> Json:
    return {
        "id": one.id if one.id is not None else f"call_{token_hex(12)}",
        "type": "function",
        "function": {"name": one.name, "arguments": one.arguments},
    }
