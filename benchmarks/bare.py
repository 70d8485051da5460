"""The baseline's activities: the bare SDK, and a tool, with nothing around them."""

from typing import Any

from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam
from temporalio import activity

from benchmarks.apps.loop.tools import reading
from benchmarks.bare_loop import Done, Turn

# What a store would hold; a bare loop keeps it in memory.
TRANSCRIPTS: dict[str, list[ChatCompletionMessageParam]] = {}


class Bare:
    """The baseline's activities."""

    def __init__(self, base_url: str) -> None:
        """Ask the simulator at `base_url` with the bare SDK."""
        self._client = AsyncOpenAI(base_url=base_url, api_key="x", max_retries=0)

    @activity.defn(name="bare_model")
    async def model(self, turn: Turn) -> Done:
        """Send the transcript and keep what the model asked for."""
        job = turn.job
        opening: list[Any] = [{"role": "user", "content": f"bench:{job.turns}:measure"}]
        said = TRANSCRIPTS.setdefault(job.name, [])
        sent = said[-2 * job.window :] if job.window else said
        reply = await self._client.chat.completions.create(
            model="gpt-5.2", messages=opening + sent, tools=TOOLS
        )
        calls = reply.choices[0].message.tool_calls or []
        said.append(
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {
                        "id": f"call_{turn.number}",
                        "type": "function",
                        "function": {
                            "name": "measure",
                            "arguments": f'{{"n":{turn.number}}}',
                        },
                    }
                    for _ in calls
                ],
            }
        )
        return Done(number=turn.number)

    @activity.defn(name="bare_tool")
    async def tool(self, turn: Turn) -> Done:
        """Do the call and keep its result."""
        TRANSCRIPTS[turn.job.name].append(
            {
                "role": "tool",
                "tool_call_id": f"call_{turn.number}",
                "content": reading(turn.number),
            }
        )
        return Done(number=turn.number)


TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "measure",
            "description": "Read a gauge.",
            "parameters": {
                "type": "object",
                "properties": {"n": {"type": "integer"}},
                "required": ["n"],
            },
        },
    }
]
