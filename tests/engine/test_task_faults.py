"""Workflow tasks that fail in Temporal alone: shown on the run, healed by a mended worker."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import uuid4

import pytest

from activities.llm.simulator import call
from approvals.comparison import Comparison
from approvals.delivery import Deliverer
from orchestrator import registry
from orchestrator.cli import worker
from orchestrator.store import failing, incidents
from orchestrator.store.tables import RunRow
from tests.apps.shifting.contracts import DEPLOYED
from tests.engine.engine import running_engine
from tests.engine.stage import DONE, Plays, Stage, refund_of
from tests.servers import postgres

pytestmark = pytest.mark.timeout(240)

NOW = timedelta(0)
DESK = "tests.apps.desk"
SHIFTING = "tests.apps.shifting"


@dataclass
class Fleet:
    """Workers that come and go on a queue of their own."""

    stage: Stage
    parts: worker.Parts
    deliverer: Deliverer

    @asynccontextmanager
    async def working(self, *apps: str) -> AsyncGenerator[None]:
        parts = replace(self.parts, registry=registry.load(apps))
        async with worker.thinking_worker(parts):
            yield

    async def start(self) -> str:
        """Start a run that waits for a person's yes to a refund."""
        order = f"o{uuid4().hex[:8]}"
        play = self.stage.plays.add(call("refund", refund_of(order)), DONE)
        engine = self.stage.engine
        engine.world.orders[order] = {
            "order_id": order,
            "customer": f"c-{order}",
            "status": "delivered",
        }
        ticket: dict[str, object] = {
            "customer_id": f"c-{order}",
            "email": "ann@example.com",
            "text": f"play:{play.name}",
        }
        self_delivering, engine.deliverer = engine.deliverer, self.deliverer
        try:
            return await engine.start_workflow("shifting", ticket)
        finally:
            engine.deliverer = self_delivering

    async def failing(self, run: str, times: int) -> RunRow:
        """Return the run once the comparison has shown so many failures on it."""
        async with asyncio.timeout(90):
            while True:
                await self.deliverer.compare()
                row = await self.stage.engine.run(run)
                if any(one.times >= times for one in failing.of(row)):
                    return row
                await asyncio.sleep(0.5)


@pytest.fixture
async def fleet(
    temporal_address: str, postgres_server: str, postgres_template: str
) -> AsyncIterator[Fleet]:
    plays = Plays()
    with postgres.database(postgres_server, template=postgres_template) as url:
        async with running_engine(temporal_address, url, plays.scenario) as engine:
            queue = f"test-{uuid4().hex}"
            settings = engine.parts.settings.model_copy(update={"task_queue": queue})
            apps = registry.load((DESK, SHIFTING))
            parts = replace(engine.parts, settings=settings, registry=apps)
            await worker.register(parts)
            deliverer = Deliverer(
                engine.store,
                parts.client,
                queue,
                engine.parts.settings.effects_queue,
                compare_every=NOW,
                comparison=Comparison(grace=NOW),
            )
            yield Fleet(Stage(engine, plays), parts, deliverer)


async def incident_words(fleet: Fleet, run: str) -> str:
    async with fleet.stage.engine.store.read() as session:
        found = await incidents.of_source(session, f"code error in {run}")
    return "" if found is None else found.title


async def test_a_run_whose_class_no_worker_has_is_shown_and_healed(
    fleet: Fleet,
) -> None:
    async with fleet.working(DESK):
        run = await fleet.start()
        row = await fleet.failing(run, 2)
    [shown] = failing.of(row)
    words = await incident_words(fleet, run)

    async with fleet.working(DESK, SHIFTING):
        await fleet.stage.engine.decide(await fleet.stage.engine.approval(run))
        ended = await fleet.stage.engine.ended(run, seconds=90)

    assert (shown.place, row.status) == (failing.ENGINE, "running")
    assert "shifting" in shown.words
    assert failing.ENGINE in words
    assert (ended.status, ended.failing) == ("completed", None)
    assert fleet.stage.posts(run) == ["/refunds"]


async def test_a_run_whose_code_is_not_the_one_it_began_with_is_shown_and_healed(
    fleet: Fleet,
) -> None:
    async with fleet.working(DESK, SHIFTING):
        run = await fleet.start()
        approval = await fleet.stage.engine.approval(run)
    DEPLOYED.add("later")
    try:
        async with fleet.working(DESK, SHIFTING):
            await fleet.stage.engine.decide(approval)
            row = await fleet.failing(run, 2)
    finally:
        DEPLOYED.clear()
    [shown] = failing.of(row)
    words = await incident_words(fleet, run)

    async with fleet.working(DESK, SHIFTING):
        ended = await fleet.stage.engine.ended(run, seconds=90)

    assert shown.place == failing.ENGINE
    assert "ondeterminism" in shown.kind + shown.words
    assert failing.ENGINE in words
    assert (ended.status, ended.failing) == ("completed", None)
    assert fleet.stage.posts(run) == ["/refunds"]


async def test_what_failed_in_temporal_is_taken_back_once_it_goes_on(
    fleet: Fleet,
) -> None:
    async with fleet.working(DESK):
        run = await fleet.start()
        await fleet.failing(run, 1)
    async with fleet.working(DESK, SHIFTING):
        await fleet.stage.engine.approval(run)
        await fleet.deliverer.compare()
        row = await fleet.stage.engine.run(run)

    assert (row.status, row.failing) == ("waiting", None)
