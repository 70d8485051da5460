"""The Messages API's format, seen from the server."""

import json
from collections.abc import Iterator
from secrets import token_hex

from pydantic import JsonValue

from keyturn.activities.llm.simulator.openai_wire import output_tokens_of
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
    "end": "end_turn",
    "calls": "tool_use",
    "length": "max_tokens",
    "refusal": "refusal",
    "filter": "refusal",
    "other": "pause_turn",
}
_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class AnthropicReader:
    """Reads requests to the Messages API."""

    wire: Wire = "anthropic"

    def system(self, body: Json) -> str:
        """Return the system text."""
        return _text(body.get("system"))

    def messages(self, body: Json) -> Iterator[Message]:
        """Yield a message for each block of a user turn, one for each model turn."""
        for message in map(as_object, as_list(body.get("messages"))):
            blocks = _content(message.get("content"))
            if message.get("role") == "assistant":
                asked = (block for block in blocks if block.get("type") == "tool_use")
                calls = tuple(map(_asked, asked))
                text = _text(message.get("content"))
                yield AssistantMessage(text=text, calls=calls)
            else:
                yield from _user_messages(blocks)

    def user_texts(self, body: Json) -> Iterator[str]:
        """Yield the user's messages as text."""
        for message in map(as_object, as_list(body.get("messages"))):
            if message.get("role") == "user":
                for block in _content(message.get("content")):
                    if block.get("type") == "text":
                        yield as_text(block.get("text"))

    def last_call(self, body: Json) -> ToolCall | None:
        """Return the latest call."""
        for message in map(as_object, reversed(as_list(body.get("messages")))):
            for block in reversed(_content(message.get("content"))):
                if block.get("type") == "tool_use":
                    return _asked(block)
        return None

    def tools(self, body: Json) -> dict[str, Json]:
        """Return the parameter schemas by tool name."""
        entries = [as_object(entry) for entry in as_list(body.get("tools"))]
        return {
            as_text(e.get("name")): as_object(e.get("input_schema")) for e in entries
        }

    def output_schema(self, body: Json) -> Json | None:
        """Return the schema in `output_config`."""
        form = as_object(as_object(body.get("output_config")).get("format"))
        return as_object(form.get("schema")) if "schema" in form else None

    def max_output_tokens(self, body: Json) -> int:
        """Return the limit, which the API requires."""
        limit = body.get("max_tokens")
        return limit if isinstance(limit, int) else 4096


def answer_body(answer: Answer, request: SimRequest, *, input_tokens: int) -> bytes:
    """Return a message; valid JSON text of calls' arguments is kept unchanged."""
    content = [_dumps({"type": "text", "text": answer.text})] if answer.text else []
    content += [_call(one) for one in answer.calls]
    message: Json = {
        "id": f"msg_{token_hex(12)}",
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "stop_reason": _REASONS[answer.stop],
        "stop_sequence": None,
        "usage": {
            "input_tokens": input_tokens,
            "output_tokens": output_tokens_of(answer, request),
        },
    }
    fields = _dumps(message)
    return f'{fields[:-1]}, "content": [{", ".join(content)}]}}'.encode()


def failure_body(failure: Failure) -> bytes:
    """Return an error in Anthropic's form."""
    kind = failure.code or _ERRORS.get(failure.status, "api_error")
    said: Json = {"type": kind, "message": failure.message}
    wrapped: Json = {"type": "error", "error": said, "request_id": "req_simulated"}
    return _dumps(wrapped).encode()


def _content(content: JsonValue) -> list[Json]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [as_object(block) for block in as_list(content)]


def _user_messages(blocks: list[Json]) -> Iterator[Message]:
    for block in blocks:
        if block.get("type") == "tool_result":
            yield ToolMessage(
                call_id=as_text(block.get("tool_use_id")),
                text=_text(block.get("content")),
                is_error=block.get("is_error") is True,
            )
        elif block.get("type") == "text":
            yield UserMessage(text=as_text(block.get("text")))


def _text(content: JsonValue) -> str:
    return "".join(as_text(block.get("text")) for block in _content(content))


def _asked(block: Json) -> ToolCall:
    return ToolCall(
        id=as_text(block.get("id")),
        name=as_text(block.get("name")),
        arguments=json.dumps(block.get("input")),
    )


def _call(one: SimCall) -> str:
    call_id = one.id if one.id is not None else f"toolu_{token_hex(12)}"
    sent = one.arguments if _is_json(one.arguments) else json.dumps(one.arguments)
    fields = _dumps({"type": "tool_use", "id": call_id, "name": one.name})
    return f'{fields[:-1]}, "input": {sent}}}'


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _dumps(value: Json) -> str:
    return json.dumps(value)
