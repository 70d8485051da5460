"""What a model said, checked: calls it may make, or an output that fits."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from pydantic import JsonValue

from keyturn.activities import document
from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.errors import InvalidValue, MalformedJson
from keyturn.orchestrator.rules.text import canonical, plain_text, schema
from keyturn.orchestrator.rules.text.transcript import (
    MAX_CALLS_PER_TURN,
    AssistantMessage,
    Message,
    ModelReply,
    ToolCall,
    ToolMessage,
    UserMessage,
)

# P5: the answer to an `ask` stands in the history of Temporal.
MOST_ASKED_BYTES = 16_000


@dataclass(frozen=True)
class CheckedCall:
    """A call of a granted tool whose arguments fit; `arguments` is canonical JSON."""

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
    """A reply that cannot be used, and the messages that tell the model why."""

    why: str
    told: tuple[Message, ...]


def check(
    reply: ModelReply,
    release: Release,
    output_schema: Mapping[str, JsonValue],
    *,
    is_ask: bool = False,
) -> Checked | Invalid:
    """Return the usable reply, or what is wrong with it in the validator's words.

    An `ask` takes no calls, and an answer of at most 16 kB: that one alone goes through
    Temporal's history (P5).
    """
    if reply.stop == "length":
        return _tell(
            reply,
            f"Your reply was cut at {release.max_output_tokens} tokens. Be shorter.",
        )
    if is_ask and reply.calls:
        return _tell(reply, "There are no tools here. Answer with the document alone.")
    if len(reply.calls) > MAX_CALLS_PER_TURN:
        return _tell(
            reply,
            f"You asked for {len(reply.calls)} calls; ask for at most "
            f"{MAX_CALLS_PER_TURN} at once.",
        )
    if reply.calls:
        return _check_calls(reply, release)
    checked = _check_output(reply, output_schema)
    if is_ask and isinstance(checked, Checked):
        size = len(canonical.encode(checked.output))
        if size > MOST_ASKED_BYTES:
            return _tell(
                reply,
                f"Your answer is {size} bytes long; at most {MOST_ASKED_BYTES} are "
                "taken. Be shorter.",
            )
    return checked


async def check_aside(
    reply: ModelReply,
    release: Release,
    output_schema: Mapping[str, JsonValue],
    *,
    is_ask: bool = False,
) -> Checked | Invalid:
    """Do what `check` does, and let others go on where the reply is long."""
    size = len(reply.text) + sum(len(call.arguments) for call in reply.calls)
    if size <= canonical.MOST_AT_ONCE // 4:
        return check(reply, release, output_schema, is_ask=is_ask)
    return await asyncio.to_thread(check, reply, release, output_schema, is_ask=is_ask)


def _check_calls(reply: ModelReply, release: Release) -> Checked | Invalid:
    found: list[CheckedCall] = []
    wrong: dict[int, str] = {}
    for index, call in enumerate(reply.calls):
        try:
            found.append(_check_call(call, release))
        except (InvalidValue, MalformedJson) as error:
            wrong[index] = str(error)
    if wrong:
        return _tell_calls(reply, wrong)
    return Checked(text=reply.text, calls=tuple(found))


def _check_call(call: ToolCall, release: Release) -> CheckedCall:
    known = {tool.name: tool for tool in release.tools}
    if call.name not in known:
        raise InvalidValue(
            f"There is no tool {call.name!r}; there are: {', '.join(known) or 'none'}."
        )
    # Providers send nothing at all where a tool takes no arguments.
    arguments = canonical.parse(call.arguments.strip() or "{}")
    if not isinstance(arguments, dict):
        raise InvalidValue("The arguments must be one JSON object.")
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
        return _tell(
            reply,
            f"Your answer must be one JSON document of the required schema: {error}",
        )
    return Checked(text=reply.text, output=cast("dict[str, JsonValue]", output))


def _tell(reply: ModelReply, why: str) -> Invalid:
    if reply.calls:
        return _tell_calls(reply, dict.fromkeys(range(len(reply.calls)), why))
    said = AssistantMessage(text=reply.text or "(nothing)")
    return Invalid(why, (said, UserMessage(text=why)))


def _tell_calls(reply: ModelReply, wrong: Mapping[int, str]) -> Invalid:
    # Their own ids may repeat, and arguments that are no JSON would be refused back.
    calls = tuple(
        ToolCall(id=f"repair_{index}", name=call.name, arguments=_sendable(call))
        for index, call in enumerate(reply.calls)
    )
    other = "Not carried out: another call of the same reply was wrong. Send all again."
    answers = tuple(
        ToolMessage(call_id=call.id, text=wrong.get(index, other), is_error=True)
        for index, call in enumerate(calls)
    )
    why = "; ".join(wrong.values())
    return Invalid(why, (AssistantMessage(text=reply.text, calls=calls), *answers))


def _sendable(call: ToolCall) -> str:
    try:
        parsed = canonical.parse(call.arguments)
    except MalformedJson:
        return canonical.text({"malformed": call.arguments[:2000]})
    return canonical.text(parsed if isinstance(parsed, dict) else {"value": parsed})
