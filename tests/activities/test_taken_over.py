"""P2: an attempt that was taken over while it sent leaves the effect to the other one."""

import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from pydantic import JsonValue
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from keyturn.activities.guard import Guard
from keyturn.activities.interface import ActResult, CallInput
from keyturn.activities.perform import Perform
from keyturn.activities.toolbox import Actor, Toolbox
from keyturn.orchestrator.rules.contract import registry
from keyturn.orchestrator.rules.contract.connector import Deed, Known, NotKnown
from keyturn.orchestrator.store.effects import send
from keyturn.orchestrator.store.effects.send import Sending
from keyturn.orchestrator.store.tables import IncidentRow
from tests.orchestrator.store.desk import Desk, top_up


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
    await desk.draft(run, top_up())

    with pytest.raises(ApplicationError) as raised:
        await act(desk, run, Frozen(desk, run))

    effect = await desk.effect(f"{run}:1.0.0")
    assert (effect.status, effect.holder, effect.attempt) == ("sending", "h2", 2)
    assert raised.value.type == "TakenOver"
    assert (await desk.run(run)).failing is None
    assert await desk.rows(IncidentRow) == []


@dataclass
class Counted:
    """A writer that counts what reaches it."""

    posts: int = 0

    def __call__(self, actor: Actor) -> "Counted":
        del actor
        return self

    def writer(self, service: str) -> "Counted":
        del service
        return self

    async def post(self, path: str, body: JsonValue) -> JsonValue:
        del path, body
        self.posts += 1
        return {"id": "r1"}


@pytest.mark.parametrize("frozen_s", [0.0, 1.2])
async def test_p02_a_worker_frozen_before_the_socket_sends_nothing_when_it_thaws(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, frozen_s: float
) -> None:
    """Its lease is another's by then, or a switch was set."""
    begin = send.begin

    async def frozen_after(*args: Any, **more: Any) -> Sending:
        begun = await begin(*args, **more)
        time.sleep(frozen_s)  # noqa: ASYNC251 nothing of this process goes on
        return begun

    monkeypatch.setattr(send, "begin", frozen_after)
    monkeypatch.setattr(
        "keyturn.activities.perform.CONNECTOR_TIMEOUT", timedelta(seconds=1)
    )
    run, shop = await desk.start(), Counted()
    await desk.draft(run, top_up())

    answer = await act(desk, run, shop)

    is_frozen = frozen_s > 0
    assert (answer.kind, shop.posts) == (
        ("not_before", 0) if is_frozen else ("done", 1)
    )


async def act(desk: Desk, run: str, connectors: "Frozen | Counted") -> ActResult:
    perform = Perform(
        store=desk.store,
        trust=desk.trust,
        toolbox=Toolbox(
            tools=registry.load(("tests.apps.desk",)).tools,
            connectors=connectors,  # pyright: ignore[reportArgumentType] they write alone
        ),
        holder="w1",
        guard=Guard(desk.store, pauses_s=()),
    )
    wanted = CallInput(run=run, turn=1, index=0)
    return await ActivityEnvironment().run(perform, wanted)
