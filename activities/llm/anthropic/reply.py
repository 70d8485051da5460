"""Parses answers of the Messages API into neutral replies."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from keyturn.activities.llm.errors import MalformedReply
from keyturn.activities.llm.wire import json_slice
from keyturn.activities.llm.wire.body import (
    as_count,
    as_list,
    as_object,
    as_text,
    decode,
    error_words,
    load,
)
from keyturn.activities.llm.wire.event_stream import events, is_event_stream
from keyturn.orchestrator.rules.text.transcript import ModelReply, Stop, ToolCall, Usage

NAME = "anthropic"

_STOPS: dict[str | None, Stop] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "tool_use": "calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}


@dataclass
class _Block:
    """One content block; `input` is the exact JSON text of a call's arguments."""

    fields: dict[str, JsonValue]
    input: str = "{}"


def parse_message(body: bytes | str) -> ModelReply:
    """Return the reply in a message's body.

    Takes text and calls of our tools, in order; thinking and the provider's own tools
    are left out. A call's arguments are the exact text of its `input`, so that
    duplicate keys reach the strict parse. Only a body that is not a JSON object, or
    that has an error in place of content, raises `MalformedReply`.
    """
    text = decode(body, provider=NAME)
    if is_event_stream(text):
        return _folded(events(text))
    message = load(text, provider=NAME)
    words = error_words(message.get("error"))
    if words and not message.get("content"):
        raise MalformedReply(provider=NAME, why=f"it holds an error: {words}.")
    return _reply(message, list(_blocks(message, text)))


def _blocks(message: dict[str, JsonValue], text: str) -> Iterator[_Block]:
    content = json_slice.member(text, json_slice.root(text), "content")
    if content is None:
        return
    spans = json_slice.elements(text, content)
    blocks = as_list(message.get("content"))
    for fields, span in zip(map(as_object, blocks), spans, strict=True):
        sent = json_slice.member(text, span, "input")
        yield _Block(fields, sent.of(text) if sent else "{}")


def _reply(message: dict[str, JsonValue], blocks: list[_Block]) -> ModelReply:
    text = "".join(
        as_text(block.fields.get("text"))
        for block in blocks
        if block.fields.get("type") == "text"
    )
    calls = tuple(map(_call, filter(_is_call, blocks)))
    raw = message.get("stop_reason")
    stop_raw = as_text(raw) if isinstance(raw, str) else None
    fault = error_words(message.get("error"))
    stop = "other" if fault else _stop(stop_raw, called=bool(calls))
    return ModelReply(
        text=text,
        refusal=_refusal(message, text) if stop == "refusal" else None,
        calls=calls,
        stop=stop,
        stop_raw=stop_raw,
        model=as_text(message.get("model")),
        usage=_usage(as_object(message.get("usage"))),
        request_id=as_text(message.get("id")) or None,
        fault=fault or None,
    )


def _is_call(block: _Block) -> bool:
    return block.fields.get("type") == "tool_use" and bool(
        as_text(block.fields.get("name"))
    )


def _call(block: _Block) -> ToolCall:
    return ToolCall(
        id=as_text(block.fields.get("id")),
        name=as_text(block.fields.get("name")),
        arguments=block.input,
    )


def _stop(raw: str | None, *, called: bool) -> Stop:
    stop = _STOPS.get(raw, "other")
    if stop in ("end", "calls"):
        return "calls" if called else "end" if stop == "end" else "other"
    return stop


def _refusal(message: dict[str, JsonValue], text: str) -> str:
    details = as_object(message.get("stop_details"))
    return as_text(details.get("explanation")) or text or "The model refused."


def _usage(usage: dict[str, JsonValue]) -> Usage | None:
    input_tokens = as_count(usage.get("input_tokens"))
    output_tokens = as_count(usage.get("output_tokens"))
    if input_tokens is None or output_tokens is None:
        return None
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=as_count(usage.get("cache_read_input_tokens")) or 0,
        cache_write_tokens=as_count(usage.get("cache_creation_input_tokens")) or 0,
    )


def _folded(stream: Iterable[dict[str, JsonValue]]) -> ModelReply:
    """Return the reply that a stream of events adds up to."""
    message: dict[str, JsonValue] = {}
    usage: dict[str, JsonValue] = {}
    blocks: dict[int, _Block] = {}
    for event in stream:
        kind = event.get("type")
        if kind == "message_start":
            message = dict(as_object(event.get("message")))
            usage = dict(as_object(message.get("usage")))
        elif kind == "message_delta":
            message.update(as_object(event.get("delta")))
            usage.update(as_object(event.get("usage")))
        elif kind == "error":
            message["error"] = event.get("error") or "no message"
        else:
            _fold_block(blocks, event)
    ordered = [blocks[index] for index in sorted(blocks)]
    message["usage"] = usage
    return _reply(message, ordered)


def _fold_block(blocks: dict[int, _Block], event: dict[str, JsonValue]) -> None:
    index = as_count(event.get("index")) or 0
    if event.get("type") == "content_block_start":
        blocks[index] = _Block(dict(as_object(event.get("content_block"))), "")
    if event.get("type") != "content_block_delta" or index not in blocks:
        return
    block, delta = blocks[index], as_object(event.get("delta"))
    if delta.get("type") == "text_delta":
        block.fields["text"] = as_text(block.fields.get("text")) + as_text(
            delta.get("text")
        )
    if delta.get("type") == "input_json_delta":
        block.input += as_text(delta.get("partial_json"))
