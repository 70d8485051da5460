"""OpenAI's chat completions, and the many servers with the same format."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal
from urllib.parse import urlsplit

import httpx2
from openai import APIConnectionError, APIStatusError, AsyncOpenAI

from keyturn.activities.llm.errors import ProviderRejected
from keyturn.activities.llm.openai import history
from keyturn.activities.llm.openai.reply import (
    FILTERED,
    NAME,
    filtered_reply,
    parse_chat,
)
from keyturn.activities.llm.wire.past_calls import arguments_text
from keyturn.activities.llm.wire.structured import (
    complains_of_structure,
    is_strict,
    with_schema,
)
from keyturn.activities.llm.wire.transport import (
    Client,
    Sdk,
    aside,
    deadline,
    error_code,
    error_of,
    post,
)
from keyturn.orchestrator.rules.text.transcript import (
    AssistantMessage,
    Message,
    ModelReply,
    ModelRequest,
    ToolCall,
    ToolMessage,
    ToolSchema,
    UserMessage,
)

OFFICIAL_URL: Final = "https://api.openai.com/v1"

_NAME_REFUSED: Final = re.compile(
    r"(?:unsupported|unrecogni[sz]ed|unknown|unexpected|extra|not permitted|deprecated"
    r"|invalid)[^.]{0,60}\bmax_tokens\b"
    r"|\bmax_tokens\b[^.]{0,60}(?:not supported|unsupported|unrecogni[sz]ed|unknown"
    r"|unexpected|not permitted|deprecated|not allowed|extra)"
    r"|\buse\b[^.]{0,20}\bmax_completion_tokens\b",
    re.IGNORECASE,
)
# "… is too large: 2048", "must be less than", "maximum context length is 2500 tokens".
_SIZE: Final = re.compile(
    r"too (?:large|long|big|many|high)|exceed|context (?:length|window)|(?:greater|less"
    r"|larger|smaller|more|fewer) than|at (?:most|least)|maximum|minimum|out of range"
    r"|between|[<>]=?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Dialect:
    """The extensions of the common format that a host and model support."""

    limit: Literal["max_tokens", "max_completion_tokens"]
    structured: bool = True
    strict_history: bool = False
    system_role: bool = True


class OpenAIChat:
    """The provider `openai`: OpenAI itself, or any host at `base_url`.

    A rejection that is about the output limit's name, the structured-output mode or the
    form of the history is retried once in the other form, and the form that works is
    remembered. Nothing was processed then, so the attempt's reservation still covers it.
    """

    name: str = NAME

    def __init__(self, *, api_key: str, base_url: str = OFFICIAL_URL) -> None:
        """Open no connection yet; the SDK's own retries are off."""
        client = AsyncOpenAI(
            api_key=api_key, base_url=base_url, max_retries=0, http_client=Client()
        )
        self._sdk = Sdk(client, APIStatusError, APIConnectionError)
        self._first = Dialect(limit=_limit(base_url))
        self._learned: dict[str, Dialect] = {}

    async def reply(self, request: ModelRequest, *, timeout_s: float) -> ModelReply:
        """Return the model's reply, or raise a `ProviderError`."""
        topic = _topic(request)
        dialect = self._learned.get(topic, self._first)
        async with deadline(NAME, timeout_s):
            while True:
                response = await self._send(request, dialect, timeout_s)
                error = await aside(
                    response, partial(error_of, response, provider=NAME)
                )
                if error is None:
                    # Only after success: a form that fails too was not the problem.
                    self._remember(topic, dialect)
                    return await aside(response, partial(_reply, response))
                if error_code(response) == FILTERED:
                    return filtered_reply()
                other = _other(dialect, request, error)
                if other is None:
                    raise error
                dialect = other

    def _remember(self, topic: str, dialect: Dialect) -> None:
        if dialect != self._first:
            self._learned[topic] = dialect

    async def aclose(self) -> None:
        """Close the connections."""
        await self._sdk.client.close()

    async def _send(
        self, request: ModelRequest, dialect: Dialect, timeout_s: float
    ) -> httpx2.Response:
        return await post(
            self._sdk,
            "/chat/completions",
            chat_body(request, dialect),
            provider=NAME,
            timeout_s=timeout_s,
        )


def chat_body(request: ModelRequest, dialect: Dialect) -> Mapping[str, object]:
    """Return the body of a chat completion request."""
    return {
        "model": request.model,
        "messages": list(_messages(request, dialect)),
        dialect.limit: request.max_output_tokens,
        **({"tools": [_tool(tool) for tool in request.tools]} if request.tools else {}),
        **_response_format(request, dialect),
        **(
            {"temperature": request.temperature}
            if request.temperature is not None
            else {}
        ),
    }


def _messages(
    request: ModelRequest, dialect: Dialect
) -> Iterator[Mapping[str, object]]:
    system = request.system
    if request.output_schema is not None and not dialect.structured:
        system = with_schema(system, request.output_schema)
    messages = request.messages
    if dialect.strict_history:
        messages = history.strict(messages)
    if system and not dialect.system_role:
        messages = history.led_by(system, messages)
    elif system:
        yield {"role": "system", "content": system}
    for message in messages:
        yield _message(message)


def _message(message: Message) -> Mapping[str, object]:
    match message:
        case UserMessage(text=text):
            return {"role": "user", "content": text}
        case AssistantMessage(text=text, calls=()):
            return {"role": "assistant", "content": text}
        case AssistantMessage(text=text, calls=calls):
            return {
                "role": "assistant",
                "content": text or None,
                "tool_calls": [_call(call) for call in calls],
            }
        case ToolMessage(call_id=call_id, text=text):
            return {"role": "tool", "tool_call_id": call_id, "content": text}


def _call(call: ToolCall) -> Mapping[str, object]:
    arguments = arguments_text(call.arguments)
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _tool(tool: ToolSchema) -> Mapping[str, object]:
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        },
    }


def _response_format(request: ModelRequest, dialect: Dialect) -> Mapping[str, object]:
    schema = request.output_schema
    if schema is None or not dialect.structured:
        return {}
    named = {"name": "output", "schema": schema, "strict": is_strict(schema)}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def _limit(base_url: str) -> Literal["max_tokens", "max_completion_tokens"]:
    """Return the name: OpenAI's newer models take only the long one, many the short."""
    host = urlsplit(base_url).hostname or ""
    official = host == "api.openai.com" or host.endswith(".api.openai.com")
    return "max_completion_tokens" if official else "max_tokens"


def _other(dialect: Dialect, request: ModelRequest, error: Exception) -> Dialect | None:
    """Return the form to try next after a rejection, None where none would help."""
    if not isinstance(error, ProviderRejected) or error.status not in (400, 422):
        return None
    if dialect.limit == "max_tokens" and _refuses_name(error.words):
        return replace(dialect, limit="max_completion_tokens")
    if dialect.system_role and history.complains_of_system(error.words):
        return replace(dialect, system_role=False, strict_history=True)
    if not dialect.strict_history and history.complains(error.words):
        return replace(dialect, strict_history=True)
    structured = request.output_schema is not None and dialect.structured
    if structured and complains_of_structure(error.words):
        return replace(dialect, structured=False)
    return None


def _refuses_name(words: str) -> bool:
    """Return whether a rejection is about the limit's name, and not about its size."""
    return _NAME_REFUSED.search(words) is not None and not _SIZE.search(words)


def _topic(request: ModelRequest) -> str:
    schema = request.output_schema
    return f"{request.model} {json.dumps(schema) if schema else ''}"


def _reply(response: httpx2.Response) -> ModelReply:
    reply = parse_chat(response.content)
    request_id = response.headers.get("x-request-id")
    return reply.model_copy(update={"request_id": request_id}) if request_id else reply
