"""Messages to a model and its replies, in no provider's format."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from keyturn.orchestrator.rules.text.canonical import repair_text

MAX_CALLS_PER_TURN = 32


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class ToolCall(_Frozen):
    """One call that a model asked for, its arguments as the raw text it sent.

    The text is parsed once, strictly, by `keyturn.orchestrator.rules.text.canonical.parse`; an adapter
    for a provider that sends an object passes that object's exact JSON text.
    """

    id: str
    name: str
    arguments: str


class UserMessage(_Frozen):
    """Words of the customer or of the contract's input."""

    role: Literal["user"] = "user"
    text: str


class AssistantMessage(_Frozen):
    """Words and calls of the model."""

    role: Literal["assistant"] = "assistant"
    text: str = ""
    calls: tuple[ToolCall, ...] = ()


class ToolMessage(_Frozen):
    """The answer to one call, under the id that the assistant's message gave it."""

    role: Literal["tool"] = "tool"
    call_id: str
    text: str
    is_error: bool = False


Message = Annotated[
    UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]


class ToolSchema(_Frozen):
    """A tool as a model sees it; `parameters` is a JSON Schema object."""

    name: str
    description: str
    parameters: dict[str, JsonValue]


class ModelRequest(_Frozen):
    """One request to a model.

    `model` is the provider's own name of it, without the provider. With
    `output_schema` the final text must be one JSON document of that schema.
    """

    model: str
    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSchema, ...] = ()
    output_schema: dict[str, JsonValue] | None = None
    max_output_tokens: int = 4096
    temperature: float | None = None


class Usage(_Frozen):
    """Tokens that one request used, as the provider counted them.

    The cache figures are tokens beside `input_tokens`, billed at prices of their own.
    """

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


Stop = Literal["end", "calls", "length", "refusal", "filter", "other"]


class ModelReply(_Frozen):
    """One reply of a model.

    `stop_raw` is the provider's own word for `stop`. `usage` is None where the
    provider named none: then the reservation is charged at its maximum. A reply whose
    `stop` is `other` broke off and is never acted on; `fault` has the provider's words.
    """

    text: str = ""
    refusal: str | None = None
    calls: tuple[ToolCall, ...] = ()
    stop: Stop
    stop_raw: str | None = None
    model: str
    usage: Usage | None = None
    request_id: str | None = None
    fault: str | None = None


def legible(reply: ModelReply) -> ModelReply:
    """Return a reply whose texts can be stored and sent back.

    Models and broken gateways do send lone surrogates and U+0000.
    """
    calls = tuple(
        ToolCall(
            id=legible_text(call.id),
            name=legible_text(call.name),
            arguments=repair_text(call.arguments),
        )
        for call in reply.calls
    )
    return reply.model_copy(
        update={
            "text": legible_text(reply.text),
            "refusal": legible_text(reply.refusal) if reply.refusal else None,
            "model": legible_text(reply.model),
            "request_id": legible_text(reply.request_id) if reply.request_id else None,
            "fault": legible_text(reply.fault) if reply.fault else None,
            "calls": calls,
        }
    )


def legible_text(words: str) -> str:
    """Return a text without lone surrogates and U+0000, which PostgreSQL refuses."""
    return repair_text(words).replace("\x00", "\ufffd")
