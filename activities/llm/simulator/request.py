"""A request to the simulator, independent of its wire format."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

from pydantic import JsonValue

from keyturn.activities.llm.wire.past_calls import arguments_object
from keyturn.orchestrator.rules.text.transcript import (
    AssistantMessage,
    Message,
    ToolCall,
    ToolMessage,
)

Wire = Literal["openai", "anthropic"]
Json = dict[str, JsonValue]


class WireReader(Protocol):
    """Reads the parts of one wire format; each part only when it is requested."""

    wire: Wire

    def system(self, body: Json) -> str:
        """Return the system text."""
        ...

    def messages(self, body: Json) -> Iterator[Message]:
        """Yield the transcript as neutral messages."""
        ...

    def user_texts(self, body: Json) -> Iterator[str]:
        """Yield only the user's messages as text, without reading the rest."""
        ...

    def last_call(self, body: Json) -> ToolCall | None:
        """Return only the latest call, without reading the rest."""
        ...

    def tools(self, body: Json) -> dict[str, Json]:
        """Return the parameter schemas by tool name."""
        ...

    def output_schema(self, body: Json) -> Json | None:
        """Return the schema requested through the structured-output mode."""
        ...

    def max_output_tokens(self, body: Json) -> int:
        """Return the output limit."""
        ...


@dataclass(frozen=True)
class SimResult:
    """One tool result with the call that it answers."""

    name: str
    arguments: Json
    text: str
    is_error: bool = False

    def json(self) -> JsonValue:
        """Return the text as JSON, or None where it is not JSON."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            return None


@dataclass(frozen=True)
class SimRequest:
    """The request as a scenario sees it; parts are read on first use."""

    body: Json
    headers: Mapping[str, str]
    reader: WireReader

    @property
    def wire(self) -> Wire:
        """Return the wire format."""
        return self.reader.wire

    @property
    def model(self) -> str:
        """Return the requested model."""
        return str(self.body.get("model", ""))

    @cached_property
    def system(self) -> str:
        """Return the system text."""
        return self.reader.system(self.body)

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """Return the transcript."""
        return tuple(self.reader.messages(self.body))

    @cached_property
    def tools(self) -> dict[str, Json]:
        """Return the parameter schemas by tool name, in the order offered."""
        return self.reader.tools(self.body)

    @cached_property
    def output_schema(self) -> Json | None:
        """Return the schema of the final answer, None where none was requested."""
        return self.reader.output_schema(self.body)

    @property
    def max_output_tokens(self) -> int:
        """Return the output limit."""
        return self.reader.max_output_tokens(self.body)

    @cached_property
    def user_texts(self) -> tuple[str, ...]:
        """Return all the user's messages as text, oldest first."""
        return tuple(self.reader.user_texts(self.body))

    @cached_property
    def last_call(self) -> ToolCall | None:
        """Return the latest call, None before the first."""
        return self.reader.last_call(self.body)

    @cached_property
    def calls(self) -> tuple[ToolCall, ...]:
        """Return all calls so far."""
        asked = (m.calls for m in self.messages if isinstance(m, AssistantMessage))
        return tuple(call for turn in asked for call in turn)

    @cached_property
    def results(self) -> tuple[SimResult, ...]:
        """Return all tool results so far, in order; `len` is the usual state."""
        return tuple(_results(self.messages))

    def mentions(self, text: str) -> bool:
        """Return whether the system text or the user's messages contain `text`."""
        return text in self.system or any(text in words for words in self.user_texts)


def _results(messages: tuple[Message, ...]) -> Iterator[SimResult]:
    """Pair results with the calls just before them: ids repeat across turns."""
    waiting: list[ToolCall] = []
    for message in messages:
        if isinstance(message, AssistantMessage):
            waiting = list(message.calls)
        elif isinstance(message, ToolMessage):
            asked = next((c for c in waiting if c.id == message.call_id), None)
            if asked is not None:
                waiting.remove(asked)
            yield SimResult(
                name=asked.name if asked else "",
                arguments=arguments_object(asked.arguments) if asked else {},
                text=message.text,
                is_error=message.is_error,
            )
