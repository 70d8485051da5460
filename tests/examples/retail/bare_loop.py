"""A tool loop without Keyturn: asks a model, makes its calls, says yes to all."""

import httpx2
from pydantic import BaseModel

from examples.retail import tools
from examples.retail.contracts import RETAIL, Request, Resolution
from keyturn import Tool, ToolError
from keyturn.activities.llm.provider import Provider
from keyturn.orchestrator.rules.contract.tool import arguments_schema
from keyturn.orchestrator.rules.text.transcript import (
    AssistantMessage,
    Message,
    ModelRequest,
    ToolCall,
    ToolMessage,
    ToolSchema,
    UserMessage,
)
from tests.examples.retail.connectors import context_for

TOOLS = {tool.name: tool for tool in vars(tools).values() if isinstance(tool, Tool)}


class Outcome(BaseModel):
    """How a run went: the failures' words in order (None: done), and the answer."""

    failures: list[str | None]
    resolution: Resolution


async def solve(
    provider: Provider, shop: httpx2.AsyncClient, tenant: str, request: Request
) -> Outcome:
    """Give what the model made of the request."""
    messages: list[Message] = [UserMessage(text=request.model_dump_json())]
    failures: list[str | None] = []
    while True:
        reply = await provider.reply(ask(messages), timeout_s=20)
        if not reply.calls:
            resolution = Resolution.model_validate_json(reply.text)
            return Outcome(failures=failures, resolution=resolution)
        (call,) = reply.calls
        key = f"{tenant}:{len(failures)}.0.0"
        result = await make(call, shop, tenant, request.user_id, key)
        failures.append(result.text if result.is_error else None)
        messages += [AssistantMessage(text=reply.text, calls=(call,)), result]


def ask(messages: list[Message]) -> ModelRequest:
    schemas = tuple(
        ToolSchema(
            name=tool.name,
            description=tool.description,
            parameters=arguments_schema(tool),
        )
        for tool in TOOLS.values()
    )
    return ModelRequest(
        model="scripted",
        system=RETAIL.instructions,
        messages=tuple(messages),
        tools=schemas,
        output_schema=Resolution.model_json_schema(),
    )


async def make(
    call: ToolCall, shop: httpx2.AsyncClient, tenant: str, customer: str, key: str
) -> ToolMessage:
    """Give the tool's answer: facts first, then the change under its key."""
    tool = TOOLS[call.name]
    context = context_for(shop, tenant, customer, key if tool.is_action else None)
    try:
        arguments = tool.input.model_validate_json(call.arguments)
        if tool.preview is not None:
            assert await tool.preview(arguments, context)
        if callable(tool.money):
            assert await tool.money(arguments, context)
        answer = await tool.function(arguments, context)
    except ToolError as error:
        return ToolMessage(call_id=call.id, text=str(error), is_error=True)
    return ToolMessage(call_id=call.id, text=answer.model_dump_json())
