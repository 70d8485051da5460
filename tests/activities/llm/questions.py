"""Asking a provider's adapter for one scripted step, over HTTP."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from pydantic import JsonValue

from keyturn.activities.llm.provider import Provider
from keyturn.activities.llm.route import build_providers, close_providers
from keyturn.activities.llm.simulator import (
    Scenario,
    SimRequest,
    SimStep,
    running_simulator,
)
from keyturn.orchestrator.rules.text.transcript import (
    Message,
    ModelReply,
    ModelRequest,
    ToolSchema,
    UserMessage,
)

SECRET = "the-secret-of-this-test"  # noqa: S105 no secret: it goes to our simulator

LOOK = ToolSchema(
    name="look", description="Looks.", parameters={"type": "object", "properties": {}}
)


@dataclass
class Desk:
    """A simulator and the two providers that talk to it."""

    url: str
    providers: dict[str, Provider]
    scenarios: dict[str, Scenario]
    seen: list[SimRequest] = field(default_factory=list[SimRequest])
    # Plays where no key is in the system text.
    strict: Scenario | None = None

    async def ask(
        self, provider: str, step: SimStep | Scenario, *, timeout_s: float = 10
    ) -> ModelReply:
        """Return the adapter's reply to `step`."""
        return await self.send(provider, step, request(), timeout_s=timeout_s)

    async def send(
        self,
        provider: str,
        step: SimStep | Scenario,
        asked: ModelRequest,
        *,
        timeout_s: float = 10,
    ) -> ModelReply:
        """Return the adapter's reply to `step` for a request of one's own.

        `seen` then holds what reached the server for it.
        """
        key = f"key:{uuid4()}"
        self.scenarios[key] = step if callable(step) else lambda _: step
        self.seen.clear()
        marked = asked.model_copy(update={"system": f"{asked.system}\n{key}"})
        return await self.providers[provider].reply(marked, timeout_s=timeout_s)

    def play(self, request: SimRequest) -> SimStep | None:
        """Find the scenario by the key in the system text."""
        self.seen.append(request)
        for line in request.system.splitlines():
            if scenario := self.scenarios.get(line):
                return scenario(request)
        return self.strict(request) if self.strict else None


@asynccontextmanager
async def open_desk() -> AsyncGenerator[Desk]:
    """Start a simulator with both providers configured for it."""
    desk = Desk(url="", providers={}, scenarios={})
    async with running_simulator(desk.play) as url:
        desk.url = url
        desk.providers = build_providers(
            openai_api_key=SECRET,
            openai_base_url=f"{url}/v1",
            anthropic_api_key=SECRET,
            anthropic_base_url=url,
        )
        yield desk
        await close_providers(desk.providers)


def request(
    *messages: Message,
    output_schema: dict[str, JsonValue] | None = None,
    model: str = "gpt-4o-mini",
) -> ModelRequest:
    """A small request; without messages the user says hello."""
    return ModelRequest(
        model=model,
        system="You help.",
        messages=messages or (UserMessage(text="hello"),),
        tools=(LOOK,),
        output_schema=output_schema,
        max_output_tokens=100,
    )
