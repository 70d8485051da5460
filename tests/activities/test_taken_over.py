"""P2: an attempt that was taken over while it sent leaves the effect to the other one."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from pydantic import JsonValue
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.guard import Guard
from activities.interface import CallInput
from activities.perform import Perform
from activities.toolbox import Actor, Toolbox
from orchestrator import canonical, registry
from orchestrator.connector import Deed, Known, NotKnown
from orchestrator.money import Money
from orchestrator.store.tables import IncidentRow
from orchestrator.store.turns import DraftedCall
from tests.store.desk import Desk


@dataclass
class Frozen:
    """A writer whose process stands still past its lease, while another goes on."""

    desk: Desk
    run: str
    deed: Deed = field(default_factory=Deed)

    def __call__(self, actor: Actor) -> "Frozen":
        self.deed = actor.deeds.begin()
        return self

    def writer(self, service: str) -> "Frozen":
        del service
        return self

    async def post(self, path: str, body: JsonValue) -> JsonValue:
        del path, body
        self.desk.clock.go_on(timedelta(minutes=1))
        await self.desk.send(self.run, holder="h2", preview="{}")
        self.deed.known = Known.NOT_KNOWN
        raise NotKnown("cut")


async def test_p02_an_attempt_that_was_taken_over_is_no_fault_of_code(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, topping_up())
    perform = Perform(
        store=desk.store,
        verifier=desk.verifier,
        toolbox=Toolbox(
            tools=registry.load(("tests.apps.desk",)).tools,
            connectors=Frozen(desk, run),  # pyright: ignore[reportArgumentType] it writes alone
        ),
        holder="w1",
        guard=Guard(desk.store, pauses_s=()),
    )

    with pytest.raises(ApplicationError) as raised:
        await ActivityEnvironment().run(perform, CallInput(run=run, turn=1, index=0))

    effect = await desk.effect(f"{run}:1.0.0")
    assert (effect.status, effect.holder, effect.attempt) == ("sending", "h2", 2)
    assert raised.value.type == "TakenOver"
    assert (await desk.run(run)).failing is None
    assert await desk.rows(IncidentRow) == []


def topping_up() -> DraftedCall:
    arguments: JsonValue = {
        "order_id": "o1",
        "amount": {"amount": 5_00, "currency": "USD"},
        "reason": "",
    }
    return DraftedCall(
        index=0,
        tool="top_up",
        provider_id="call_1",
        arguments=canonical.text(arguments),
        preview="{}",
        money=Money(5_00, "USD"),
    )
