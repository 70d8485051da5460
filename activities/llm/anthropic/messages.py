"""Anthropic's Messages API."""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import groupby
from typing import Final

import httpx2
from anthropic import APIConnectionError, APIStatusError, AsyncAnthropic

from keyturn.activities.llm.anthropic.reply import NAME, parse_message
from keyturn.activities.llm.errors import ProviderRejected
from keyturn.activities.llm.wire.past_calls import arguments_object
from keyturn.activities.llm.wire.structured import complains_of_structure, with_schema
from keyturn.activities.llm.wire.transport import (
    Client,
    Sdk,
    aside,
    deadline,
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

OFFICIAL_URL: Final = "https://api.anthropic.com"


class AnthropicMessages:
    """The provider `anthropic`.

    Structured output uses `output_config`; after a model or schema is rejected for it,
    the schema is put in words instead.
    """

    name: str = NAME

    def __init__(self, *, api_key: str, base_url: str = OFFICIAL_URL) -> None:
        """Open no connection yet; the SDK's own retries are off."""
        client = AsyncAnthropic(
            api_key=api_key, base_url=base_url, max_retries=0, http_client=Client()
        )
        self._sdk = Sdk(client, APIStatusError, APIConnectionError)
        self._in_words: set[str] = set()

    async def reply(self, request: ModelRequest, *, timeout_s: float) -> ModelReply:
        """Return the model's reply, or raise a `ProviderError`."""
        topic = f"{request.model} {json.dumps(request.output_schema)}"
        async with deadline(NAME, timeout_s):
            while True:
                structured = topic not in self._in_words
                response = await self._send(
                    request, structured=structured, timeout_s=timeout_s
                )
                error = await aside(
                    response, partial(error_of, response, provider=NAME)
                )
                if error is None:
                    return await aside(response, partial(_reply, response))
                if not (structured and _is_about_structure(request, error)):
                    raise error
                self._in_words.add(topic)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._sdk.client.close()

    async def _send(
        self, request: ModelRequest, *, structured: bool, timeout_s: float
    ) -> httpx2.Response:
        return await post(
            self._sdk,
            "/v1/messages",
            message_body(request, structured=structured),
            provider=NAME,
            timeout_s=timeout_s,
        )


def message_body(request: ModelRequest, *, structured: bool) -> Mapping[str, object]:
    """Return the body of a request; without `structured` the schema is put in words."""
    schema = request.output_schema
    system = request.system
    if schema is not None and not structured:
        system = with_schema(system, schema)
    optional: dict[str, object] = {
        "system": system,
        "tools": [_tool(tool) for tool in request.tools],
        "temperature": request.temperature,
    }
    if schema is not None and structured:
        form = {"type": "json_schema", "schema": schema}
        optional["output_config"] = {"format": form}
    return {
        "model": request.model,
        "max_tokens": request.max_output_tokens,
        "messages": list(_messages(request.messages)),
        **{
            key: value for key, value in optional.items() if value not in ("", [], None)
        },
    }


def _messages(messages: tuple[Message, ...]) -> Iterator[Mapping[str, object]]:
    """Yield turns with alternating roles; tool results are part of the user's turns."""
    for role, turn in groupby(messages, key=_role):
        content = [block for message in turn for block in _blocks(message)]
        if content:
            yield {"role": role, "content": content}


def _role(message: Message) -> str:
    return "assistant" if message.role == "assistant" else "user"


def _blocks(message: Message) -> Iterator[Mapping[str, object]]:
    match message:
        case UserMessage(text=text):
            yield from _text(text)
        case AssistantMessage(text=text, calls=calls):
            yield from _text(text)
            yield from map(_call, calls)
        case ToolMessage(call_id=call_id, text=text, is_error=is_error):
            result = {"type": "tool_result", "tool_use_id": call_id, "content": text}
            yield result | ({"is_error": True} if is_error else {})


def _text(text: str) -> Iterator[Mapping[str, object]]:
    # The API rejects an empty block of text.
    if text.strip():
        yield {"type": "text", "text": text}


def _call(call: ToolCall) -> Mapping[str, object]:
    arguments = arguments_object(call.arguments)
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}


def _tool(tool: ToolSchema) -> Mapping[str, object]:
    return {
        "name": tool.name,
        "description": tool.description,
        "input_schema": tool.parameters,
    }


def _is_about_structure(request: ModelRequest, error: Exception) -> bool:
    return (
        request.output_schema is not None
        and isinstance(error, ProviderRejected)
        and error.status == 400
        and complains_of_structure(error.words)
    )


def _reply(response: httpx2.Response) -> ModelReply:
    reply = parse_message(response.content)
    request_id = response.headers.get("request-id")
    return reply.model_copy(update={"request_id": request_id}) if request_id else reply
