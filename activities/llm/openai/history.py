"""Histories in the form that strict chat templates accept.

Servers for Mistral's models, and some gateways in front of them, refuse a history for
its form: ids of calls that are not nine letters and digits, a user message right after
a tool's answer, two user messages in a row, a system message. All but the last can be
changed without a change of content; this is done where a host requires it.
"""

import hashlib
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from keyturn.orchestrator.rules.text import model_notices
from keyturn.orchestrator.rules.text.transcript import (
    AssistantMessage,
    Message,
    ToolMessage,
    UserMessage,
)

ID_LENGTH: Final = 9
# Separates a tool's answer from a user message, which may not be adjacent.
BETWEEN: Final = AssistantMessage(text=model_notices.result_noted())

_ABOUT_SYSTEM: Final = re.compile(
    r"(?:unsupported|invalid|unknown) role[^.]{0,5}system|system role|role ['\"`]?system|system['\"`]? (?:role|messages?|prompts?) (?:is |are )?"
    r"not|no system|got ['\"`]?system|unexpected role ['\"`]?system"
    r"|system (?:messages?|prompts?) (?:is |are )?(?:not|un)",
    re.IGNORECASE,
)
_ABOUT_HISTORY: Final = re.compile(
    r"tool.?call.?id|alternat|(?:unexpected|expected|invalid)[^.]{0,30}\brole"
    r"|\broles?\b[^.]{0,40}\b(?:after|follow|order|must|should)"
    r"|after (?:role|a )?['\"` ]*(?:tool|user)|consecutive|same role|message order"
    r"|chat.?template|jinja",
    re.IGNORECASE,
)


def complains(words: str) -> bool:
    """Return whether a rejection is about the order of roles or the ids of calls."""
    return _ABOUT_HISTORY.search(words) is not None


def complains_of_system(words: str) -> bool:
    """Return whether a rejection is about the system message itself."""
    return _ABOUT_SYSTEM.search(words) is not None


def strict(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Return the same history with short ids and alternating roles."""
    merged: list[Message] = []
    for message in map(_with_short_ids, messages):
        last = merged[-1] if merged else None
        if isinstance(message, UserMessage) and isinstance(last, UserMessage):
            merged[-1] = UserMessage(text=f"{last.text}\n\n{message.text}")
        else:
            merged.append(message)
    return tuple(_apart(merged))


def led_by(system: str, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the history with the system text before the first user message."""
    if messages and isinstance(first := messages[0], UserMessage):
        return UserMessage(text=f"{system}\n\n{first.text}"), *messages[1:]
    return UserMessage(text=system), *messages


def short_id(call: str) -> str:
    """Return nine letters and digits for an id, the same each time."""
    return hashlib.sha256(call.encode()).hexdigest()[:ID_LENGTH]


def _with_short_ids(message: Message) -> Message:
    match message:
        case ToolMessage(call_id=call_id):
            return message.model_copy(update={"call_id": short_id(call_id)})
        case AssistantMessage(calls=calls) if calls:
            renamed = tuple(
                call.model_copy(update={"id": short_id(call.id)}) for call in calls
            )
            return message.model_copy(update={"calls": renamed})
        case _:
            return message


def _apart(messages: list[Message]) -> Iterable[Message]:
    yield from messages[:1]
    for before, message in pairwise(messages):
        if isinstance(before, ToolMessage) and isinstance(message, UserMessage):
            yield BETWEEN
        yield message
