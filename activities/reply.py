"""A checked model reply: calls that it may make, or a valid output."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from keyturn.activities import document
from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.errors import InvalidValue, MalformedJson
from keyturn.orchestrator.rules.text import (
    canonical,
    json_object,
    model_notices,
    plain_text,
    schema,
)
from keyturn.orchestrator.rules.text.model_notices import ModelNotice
from keyturn.orchestrator.rules.text.transcript import (
    MAX_CALLS_PER_TURN,
    AssistantMessage,
    Message,
    ModelReply,
    ToolCall,
    ToolMessage,
    UserMessage,
)

# P5: the answer to an `ask` is part of Temporal's history.
MOST_ASKED_BYTES = 16_000


@dataclass(frozen=True)
class CheckedCall:
    """A call of a granted tool with valid arguments; `arguments` is canonical JSON."""

    tool: str
    provider_id: str
    arguments: str


@dataclass(frozen=True)
class Checked:
    """A usable reply: calls, or the final output."""

    text: str
    calls: tuple[CheckedCall, ...] = ()
    output: dict[str, JsonValue] | None = None


@dataclass(frozen=True)
class Invalid:
    """An unusable reply, and the messages that tell the model why."""

    why: str
    messages: tuple[Message, ...]


def check(
    reply: ModelReply,
    release: Release,
    output_schema: Mapping[str, JsonValue],
    *,
    is_ask: bool = False,
) -> Checked | Invalid:
    """Return the usable reply, or its faults in the validator's words.

    An `ask` allows no calls, and an answer of at most 16 kB: only that answer goes
    through Temporal's history (P5).
    """
    if reply.stop == "length":
        tokens = release.max_output_tokens
        return _tell(reply, model_notices.reply_cut(tokens=tokens))
    if is_ask and reply.calls:
        return _tell(reply, model_notices.reply_no_tools())
    if len(reply.calls) > MAX_CALLS_PER_TURN:
        count = len(reply.calls)
        return _tell(
            reply, model_notices.reply_many_calls(count=count, most=MAX_CALLS_PER_TURN)
        )
    if reply.calls:
        return _check_calls(reply, release)
    checked = _check_output(reply, output_schema)
    if is_ask and isinstance(checked, Checked):
        size = len(canonical.encode(checked.output))
        if size > MOST_ASKED_BYTES:
            return _tell(
                reply, model_notices.reply_long(size=size, most=MOST_ASKED_BYTES)
            )
    return checked


async def check_aside(
    reply: ModelReply,
    release: Release,
    output_schema: Mapping[str, JsonValue],
    *,
    is_ask: bool = False,
) -> Checked | Invalid:
    """Do the same as `check`, without blocking the event loop on a long reply."""
    size = len(reply.text) + sum(len(call.arguments) for call in reply.calls)
    if size <= canonical.MOST_AT_ONCE // 4:
        return check(reply, release, output_schema, is_ask=is_ask)
    return await asyncio.to_thread(check, reply, release, output_schema, is_ask=is_ask)


def _check_calls(reply: ModelReply, release: Release) -> Checked | Invalid:
    found: list[CheckedCall] = []
    wrong: dict[int, ModelNotice] = {}
    for index, call in enumerate(reply.calls):
        try:
            checked = _check_call(call, release)
        except (InvalidValue, MalformedJson) as error:
            checked = model_notices.reply_arguments(why=str(error))
        if isinstance(checked, ModelNotice):
            wrong[index] = checked
        else:
            found.append(checked)
    if wrong:
        return _tell_calls(reply, wrong)
    return Checked(text=reply.text, calls=tuple(found))


def _check_call(call: ToolCall, release: Release) -> CheckedCall | ModelNotice:
    known = {tool.name: tool for tool in release.tools}
    if call.name not in known:
        return model_notices.reply_unknown_tool(tool=call.name, known=tuple(known))
    # Providers send an empty text where a tool takes no arguments.
    arguments = canonical.parse(call.arguments.strip() or "{}")
    if not isinstance(arguments, dict):
        return model_notices.reply_no_object()
    schema.check_arguments(arguments, known[call.name].parameters)
    plain_text.refuse_control_characters(arguments)
    return CheckedCall(call.name, call.id, canonical.text(arguments))


def _check_output(
    reply: ModelReply, output_schema: Mapping[str, JsonValue]
) -> Checked | Invalid:
    try:
        output = document.read(reply.text)
        schema.check(output, output_schema)
    except (InvalidValue, MalformedJson) as error:
        return _tell(reply, model_notices.reply_document(why=str(error)))
    return Checked(text=reply.text, output=json_object.of(output))


def _tell(reply: ModelReply, why: ModelNotice) -> Invalid:
    if reply.calls:
        return _tell_calls(reply, dict.fromkeys(range(len(reply.calls)), why))
    said = AssistantMessage(text=reply.text or model_notices.nothing_said())
    return Invalid(why.words, (said, UserMessage(text=why.text)))


def _tell_calls(reply: ModelReply, wrong: Mapping[int, ModelNotice]) -> Invalid:
    # The model's own ids may repeat, and providers would refuse invalid JSON arguments.
    calls = tuple(
        ToolCall(id=f"repair_{index}", name=call.name, arguments=_sendable(call))
        for index, call in enumerate(reply.calls)
    )
    other = model_notices.reply_sibling()
    answers = tuple(
        ToolMessage(call_id=call.id, text=wrong.get(index, other).text, is_error=True)
        for index, call in enumerate(calls)
    )
    why = "; ".join(one.words for one in wrong.values())
    return Invalid(why, (AssistantMessage(text=reply.text, calls=calls), *answers))


def _sendable(call: ToolCall) -> str:
    try:
        parsed = canonical.parse(call.arguments)
    except MalformedJson:
        return canonical.text({"malformed": call.arguments[:2000]})
    return canonical.text(parsed if isinstance(parsed, dict) else {"value": parsed})
