"""A scenario's answers: everything a provider may do, faults included.

Build steps with the functions here; the classes are what the server sends.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from keyturn.orchestrator.rules.text.transcript import Stop


@dataclass(frozen=True)
class SimCall:
    """One tool call; `arguments` is raw text, `id` None for a new one."""

    name: str
    arguments: str
    id: str | None = None


@dataclass(frozen=True)
class Answer:
    """A reply of the model."""

    text: str = ""
    calls: tuple[SimCall, ...] = ()
    stop: Stop = "end"


@dataclass(frozen=True)
class Failure:
    """An error answer in the provider's form."""

    status: int
    message: str
    retry_after_s: float | None = None
    code: str | None = None


@dataclass(frozen=True)
class Cut:
    """A connection closed after `share` of the body; 0: after the headers alone."""

    answer: Answer
    share: float


@dataclass(frozen=True)
class Slow:
    """A step that is taken after some seconds."""

    seconds: float
    then: "SimStep"


@dataclass(frozen=True)
class Raw:
    """A body sent as it is."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


SimStep = Answer | Failure | Cut | Slow | Raw


def say(text: str) -> Answer:
    """End the turn with a text."""
    return Answer(text=text)


def final(output: JsonValue) -> Answer:
    """End the turn with one JSON document."""
    return Answer(text=json.dumps(output))


def call(
    name: str, arguments: Mapping[str, JsonValue] | None = None, *, text: str = ""
) -> Answer:
    """Request one tool call, which need not exist, with a text beside it."""
    return calls([(name, arguments or {})], text=text)


def calls(
    asked: Iterable[tuple[str, Mapping[str, JsonValue]]],
    *,
    text: str = "",
    ids: Sequence[str] | None = None,
) -> Answer:
    """Request several tool calls at once; `ids` may repeat, as real ones do."""
    made = tuple(SimCall(name, json.dumps(dict(given))) for name, given in asked)
    if ids is not None:
        made = tuple(
            replace(one, id=one_id) for one, one_id in zip(made, ids, strict=True)
        )
    return Answer(text=text, calls=made, stop="calls")


def malformed(name: str, raw_text: str) -> Answer:
    """Request a call whose arguments are `raw_text`, JSON or not.

    The Messages API can carry broken JSON only as a string, or with duplicate keys.
    """
    return Answer(calls=(SimCall(name, raw_text),), stop="calls")


def refuse(text: str) -> Answer:
    """Refuse with a text."""
    return Answer(text=text, stop="refusal")


def truncate(text: str) -> Answer:
    """Break off at the output limit, with all its tokens used."""
    return Answer(text=text, stop="length")


def blocked() -> Answer:
    """Return an empty answer: a content filter stopped it."""
    return Answer(stop="filter")


def error(
    status: int,
    *,
    retry_after_s: float | None = None,
    message: str = "scripted failure",
    code: str | None = None,
) -> Failure:
    """Answer with an HTTP error."""
    return Failure(status, message, retry_after_s, code)


def cut(answer: Answer | None = None, *, share: float = 0.5) -> Cut:
    """Close the connection within the body; with `share=0` after the headers."""
    return Cut(answer or say("This answer never arrives whole."), share)


def slow(seconds: float, then: SimStep) -> Slow:
    """Wait, then take another step."""
    return Slow(seconds, then)


def raw(
    body: bytes | str,
    *,
    status: int = 200,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Raw:
    """Send a body as it is, e.g. a recorded one."""
    data = body.encode() if isinstance(body, str) else body
    return Raw(data, status, content_type, dict(headers or {}))
