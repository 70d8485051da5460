"""One engine for the tests of a package; each test plays a script of its own on it."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from pydantic import JsonValue

from keyturn.activities.llm.simulator import SimRequest, SimStep, final
from keyturn.orchestrator.store.tables import RunRow
from tests.engine.engine import Engine

MARK = re.compile(r"play:(\w+)")
DONE = final({"summary": "done", "confidence": 0.9})


@dataclass
class Play:
    """One test's script: each request of its run takes the next step, the last stays."""

    name: str
    steps: Sequence[SimStep]
    requests: list[SimRequest] = field(default_factory=list[SimRequest])

    def next(self, request: SimRequest) -> SimStep:
        self.requests.append(request)
        return self.steps[min(len(self.requests), len(self.steps)) - 1]

    def last_request(self) -> str:
        """The whole body of the last request to the model."""
        return str(self.requests[-1].body)


@dataclass
class Plays:
    """The scripts of all tests, found by a mark in the run's input."""

    by_name: dict[str, Play] = field(default_factory=dict[str, Play])

    def scenario(self, request: SimRequest) -> SimStep | None:
        found = MARK.search(" ".join(request.user_texts))
        return self.by_name[found[1]].next(request) if found else None

    def add(self, *steps: SimStep) -> Play:
        play = Play(uuid4().hex, steps)
        self.by_name[play.name] = play
        return play


@dataclass
class Stage:
    """The engine and the scripts that are played on it."""

    engine: Engine
    plays: Plays

    async def play(
        self, *steps: SimStep, order: str | None = None, **ticket: object
    ) -> tuple[str, Play]:
        """Start a run of these steps, for a customer with an order of their own."""
        play = self.plays.add(*steps)
        order = order or play.name
        self.engine.world.orders[order] = {
            "order_id": order,
            "customer": f"c-{order}",
            "status": "delivered",
        }
        text = f"play:{play.name} {ticket.pop('text', '')}"
        run = await self.engine.start(text, customer_id=f"c-{order}", **ticket)
        return run, play

    async def played(self, *steps: SimStep, **ticket: object) -> tuple[RunRow, Play]:
        """Play these steps to the run's end."""
        run, play = await self.play(*steps, **ticket)  # pyright: ignore[reportArgumentType] passed on
        return await self.engine.ended(run, seconds=60), play

    async def attempted(self, run: str, activity: str, times: int) -> None:
        """Return once an activity of the run's loop has begun its n-th attempt."""
        handle = self.engine.parts.client.get_workflow_handle(f"{run}/act/1")
        async with asyncio.timeout(30):
            while True:
                described = (await handle.describe()).raw_description
                for one in described.pending_activities:
                    if one.activity_type.name == activity and one.attempt >= times:
                        return
                await asyncio.sleep(0.1)

    async def looked_up(self, order: str) -> None:
        """Return once a tool's own look-up has asked what became of the order."""
        async with asyncio.timeout(30):
            while order not in self.engine.world.looked_up:  # noqa: ASYNC110 a fake has no event
                await asyncio.sleep(0.05)

    async def activities(self, run: str) -> list[str]:
        """Return the activities that the run's loop has asked for, in order."""
        handle = self.engine.parts.client.get_workflow_handle(f"{run}/act/1")
        events = [event async for event in handle.fetch_history_events()]
        asked = [event.activity_task_scheduled_event_attributes for event in events]
        return [one.activity_type.name for one in asked if one.activity_type.name]

    def posts(self, run: str) -> list[str]:
        """The paths that were posted to for a run."""
        return [path for path, key, _ in self.engine.world.posted if run in key]


def refund_of(order: str, cents: int = 50_00) -> dict[str, JsonValue]:
    """The arguments of a refund, a payment or a top-up of an order."""
    amount: JsonValue = {"amount": cents, "currency": "USD"}
    return {"order_id": order, "amount": amount, "reason": "late"}
