"""Parses chat completions into neutral replies."""

import json
from collections.abc import Iterable

from pydantic import JsonValue

from keyturn.activities.llm.errors import MalformedReply
from keyturn.activities.llm.wire.body import (
    as_count,
    as_list,
    as_object,
    as_text,
    decode,
    error_words,
    escape_surrogates,
    load,
)
from keyturn.activities.llm.wire.event_stream import events, is_event_stream
from keyturn.orchestrator.rules.text.transcript import ModelReply, Stop, ToolCall, Usage

NAME = "openai"
FILTERED = "content_filter"

# "eos" is Together's word, "end_turn" and capitals come from gateways in front of other
# providers; some hosts leave the word empty, or out, in whole answers. Any word that
# is not listed means that the reply broke off.
_ENDS = {
    "stop",
    "eos",
    "eos_token",
    "end_turn",
    "stop_sequence",
    "stop_token",
    "",
    None,
}
_CALLS = {"tool_calls", "tool_call", "tool_use", "function_call"} | _ENDS
_LENGTHS = {"length", "max_tokens", "max_output_tokens", "model_length"}
_FILTERS = {FILTERED, "safety", "recitation", "blocklist", "prohibited_content", "spii"}
# The stop reason for a stream that ends without one.
_NO_END = "the stream ended early"


def parse_chat(body: bytes | str) -> ModelReply:
    """Return the reply in a chat completion's body.

    Takes the first choice and its known fields: compatible hosts leave out fields and
    add their own. Only a body that is not a JSON object, or that has an error in place
    of choices, raises `MalformedReply`. Arguments are the raw text as sent. A reply
    that its host marks as broken off, or a stream without an end, has the stop
    `other`.
    """
    text = decode(body, provider=NAME)
    completion = (
        _folded(events(text)) if is_event_stream(text) else load(text, provider=NAME)
    )
    error = completion.get("error")
    if not error or as_list(completion.get("choices")):
        return _reply(completion)
    if as_object(error).get("code") == FILTERED:
        return filtered_reply()
    raise MalformedReply(provider=NAME, why=f"it holds an error: {error_words(error)}.")


def filtered_reply() -> ModelReply:
    """Return the reply for a prompt that a host's content filter stopped."""
    return ModelReply(stop="filter", stop_raw=FILTERED, model="")


def _reply(completion: dict[str, JsonValue]) -> ModelReply:
    choices = as_list(completion.get("choices"))
    choice = as_object(choices[0]) if choices else {}
    message = as_object(choice.get("message"))
    text = _content(message.get("content"), "text")
    refusal = as_text(message.get("refusal")) or _content(
        message.get("content"), "refusal"
    )
    calls = tuple(_calls(as_list(message.get("tool_calls"))))
    raw = choice.get("finish_reason")
    stop_raw = as_text(raw) if isinstance(raw, str) else None
    fault = error_words(choice.get("error")) or error_words(completion.get("error"))
    stop = _stop(stop_raw, text=text, refused=bool(refusal), called=bool(calls))
    return ModelReply(
        text=text,
        refusal=refusal or None,
        calls=calls,
        stop="other" if fault else stop,
        stop_raw=stop_raw,
        model=as_text(completion.get("model")),
        usage=_usage(as_object(completion.get("usage"))),
        request_id=as_text(completion.get("id")) or None,
        fault=fault or None,
    )


def _content(content: JsonValue, kind: str) -> str:
    """Join the parts of one kind; a plain string is one part of text."""
    if isinstance(content, str):
        return as_text(content) if kind == "text" else ""
    parts = (as_object(part) for part in as_list(content))
    return "".join(
        as_text(part.get(kind)) for part in parts if part.get("type") == kind
    )


def _calls(entries: Iterable[JsonValue]) -> Iterable[ToolCall]:
    for entry in map(as_object, entries):
        function = as_object(entry.get("function"))
        name = as_text(function.get("name"))
        if name:
            yield ToolCall(
                id=as_text(entry.get("id")),
                name=name,
                arguments=_arguments(function.get("arguments")),
            )


def _arguments(value: JsonValue) -> str:
    """Return the raw text; turns an object or nothing from a host into its JSON."""
    if isinstance(value, str):
        return escape_surrogates(value)
    return json.dumps({} if value is None else value)


def _stop(raw: str | None, *, text: str, refused: bool, called: bool) -> Stop:
    raw = raw.lower() if raw else raw
    if raw in _LENGTHS:
        return "length"
    if raw in _FILTERS:
        return "filter"
    if refused:
        return "refusal"
    if called:
        return "calls" if raw in _CALLS else "other"
    return "end" if raw in _ENDS and (raw or text) else "other"


def _usage(usage: dict[str, JsonValue]) -> Usage | None:
    input_tokens = as_count(usage.get("prompt_tokens"))
    output_tokens = as_count(usage.get("completion_tokens"))
    if input_tokens is None or output_tokens is None:
        return None
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens)


def _folded(chunks: Iterable[dict[str, JsonValue]]) -> dict[str, JsonValue]:
    """Return the completion that a stream of chunks adds up to."""
    completion: dict[str, JsonValue] = {}
    message: dict[str, JsonValue] = {}
    choice: dict[str, JsonValue] = {"message": message}
    calls: dict[int, dict[str, JsonValue]] = {}
    for chunk in chunks:
        completion.update({key: chunk[key] for key in ("id", "model") if key in chunk})
        if chunk.get("usage"):
            completion["usage"] = chunk["usage"]
        part = _first_choice(chunk)
        delta = as_object(part.get("delta"))
        for key in ("content", "refusal"):
            if isinstance(delta.get(key), str):
                message[key] = as_text(message.get(key)) + as_text(delta[key])
        _fold_calls(calls, as_list(delta.get("tool_calls")))
        # A stream that breaks off with an error may be incomplete.
        ends = {
            "error": chunk.get("error") or part.get("error"),
            "finish_reason": part.get("finish_reason"),
        }
        choice.update({key: found for key, found in ends.items() if found})
    choice.setdefault("finish_reason", _NO_END)
    message["tool_calls"] = [calls[index] for index in sorted(calls)]
    completion["choices"] = [choice]
    return completion


def _first_choice(chunk: dict[str, JsonValue]) -> dict[str, JsonValue]:
    for choice in map(as_object, as_list(chunk.get("choices"))):
        if not choice.get("index"):
            return choice
    return {}


def _fold_calls(
    calls: dict[int, dict[str, JsonValue]], deltas: list[JsonValue]
) -> None:
    for delta in map(as_object, deltas):
        index = as_count(delta.get("index")) or 0
        call = calls.setdefault(index, {"function": {"name": "", "arguments": ""}})
        call["id"] = call.get("id") or delta.get("id")
        function = as_object(call["function"])
        sent = as_object(delta.get("function"))
        function["name"] = function["name"] or as_text(sent.get("name"))
        function["arguments"] = as_text(function["arguments"]) + as_text(
            sent.get("arguments")
        )
