"""A worker killed between a provider's answer and its commit: bounded, charged, shown.

It cannot be prevented: nobody has the answer, and the provider may ask for its money.
"""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlmodel import col, select

from keyturn.activities.llm.simulator import SimRequest, SimStep
from keyturn.approvals.ops import timeline as drawing
from keyturn.orchestrator.dispatch.dispatcher import Deliverer
from keyturn.orchestrator.dispatch.lost_runs import JOB
from keyturn.orchestrator.processes import worker
from keyturn.orchestrator.store.budgets import reservations, settlement
from keyturn.orchestrator.store.budgets.limits import Bounds
from keyturn.orchestrator.store.budgets.reservations import Reservation
from keyturn.orchestrator.store.runs import start
from keyturn.orchestrator.store.runs.start import NewRun
from keyturn.orchestrator.store.tables import AttemptRow, LeaseRow
from keyturn.orchestrator.store.views import timeline
from tests.engine.engine import Engine, running_engine
from tests.engine.stage import DONE, Plays, Stage
from tests.servers import postgres

ROOT = Path(__file__).parents[2]


class Doomed:
    """A model whose answer comes when the worker that asked has just been killed."""

    def __init__(self) -> None:
        self.plays = Plays()
        self.asked: list[SimRequest] = []
        self.victim: int | None = None

    def scenario(self, request: SimRequest) -> SimStep | None:
        if self.plays.scenario(request) is None:
            return None
        self.asked.append(request)
        if self.victim is not None:
            os.kill(self.victim, signal.SIGKILL)
            self.victim = None
        return DONE


@pytest.fixture(scope="module")
async def doomed(
    temporal_address: str, postgres_server: str, postgres_template: str
) -> AsyncIterator[tuple[Stage, Doomed]]:
    model = Doomed()
    with postgres.database(postgres_server, template=postgres_template) as url:
        async with running_engine(temporal_address, url, model.scenario) as engine:
            yield Stage(engine, model.plays), model


@contextmanager
def worker_process(engine: Engine, queue: str) -> Generator[int]:
    """Run `keyturn worker` on a queue of its own; give its process id."""
    settings = engine.parts.settings
    told = {
        "KEYTURN_DATABASE_URL": settings.database_url,
        "KEYTURN_TEMPORAL_ADDRESS": settings.temporal_address,
        "KEYTURN_TASK_QUEUE": queue,
        "KEYTURN_PAYLOAD_KEYS": settings.payload_keys.get_secret_value()
        if settings.payload_keys
        else "",
        "KEYTURN_APPS": "tests.apps.desk",
        "OPENAI_API_KEY": "sk-made-up",
        "OPENAI_BASE_URL": f"{engine.simulator}/v1",
    }
    outer = {k: v for k, v in os.environ.items() if not k.startswith("KEYTURN_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "keyturn.orchestrator.cli", "worker"],
        cwd=ROOT,
        env={**outer, **told},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


async def nobody_compares(stage: Stage) -> None:
    """Keep the engine's sweep from a run that is carried out on another queue."""
    store = stage.engine.store
    async with store.write() as session:
        until = await session.read_clock() + timedelta(hours=1)
        await session.merge(LeaseRow(job=JOB, holder="this test", until=until))


async def begin(stage: Stage) -> str:
    """Record a run of a script of its own; nothing is delivered."""
    play = stage.plays.add(DONE)
    value = {"customer_id": "c1", "email": "a@example.com", "text": f"play:{play.name}"}
    new = NewRun(workflow="desk", input=value, tenant="default")  # pyright: ignore[reportArgumentType] JSON
    return (await start.start(stage.engine.store, new))[0].id


async def attempts(stage: Stage, run: str) -> list[AttemptRow]:
    query = select(AttemptRow).where(col(AttemptRow.run) == run)
    async with stage.engine.store.read() as session:
        found = await session.execute(query.order_by(col(AttemptRow.created_at)))
        return list(found.scalars())


async def lost_on_the_page(stage: Stage, run: str) -> int:
    record = await timeline.load(stage.engine.store, run, tenant=None, before=None)
    return sum(turn.lost for turn in drawing.turns(record))


async def test_p04_an_answer_that_died_with_its_worker_is_charged_and_shown(
    doomed: tuple[Stage, Doomed],
) -> None:
    stage, model = doomed
    engine, queue = stage.engine, f"test-{uuid4().hex}"
    begin_on = Deliverer(
        engine.store, engine.parts.client, queue, engine.parts.settings.effects_queue
    )
    await nobody_compares(stage)
    with worker_process(engine, queue) as model.victim:
        run = await begin(stage)
        await begin_on.begin(run, "desk")
        await engine.until(run, lambda _: bool(model.asked) and model.victim is None)
    before = (await attempts(stage, run))[0]
    settings = engine.parts.settings.model_copy(update={"task_queue": queue})
    async with worker.thinking_worker(replace(engine.parts, settings=settings)):
        row = await engine.ended(run)

    lost, kept = await attempts(stage, run)
    assert (before.status, before.reply) == ("sent", None)
    assert (row.status, len(model.asked)) == ("completed", 2)
    assert (lost.status, lost.failure, kept.status) == ("charged", "lost", "settled")
    assert lost.cost_microusd == lost.held_microusd
    assert row.cost_microusd == lost.cost_microusd + kept.cost_microusd
    assert await lost_on_the_page(stage, run) == 1


@pytest.mark.parametrize("times", [settlement.LOST_TRIES - 1, settlement.LOST_TRIES])
async def test_p04_a_turn_asks_no_more_after_so_many_lost_answers(
    doomed: tuple[Stage, Doomed], times: int
) -> None:
    stage, model = doomed
    engine = stage.engine
    run, asked = await begin(stage), len(model.asked)
    for n in range(times):
        wanted = Reservation(
            attempt=f"{run}-{n}",
            run=run,
            turn=1,
            number=n % 2,
            provider="openai",
            model="gpt-5.2",
            tokens=10,
            cost_microusd=10,
        )
        await reservations.reserve(engine.store, wanted, {f"run {run}": Bounds()})
    await engine.deliverer.deliver(run)
    row = await engine.ended(run)

    is_over = times == settlement.LOST_TRIES
    assert len(model.asked) - asked == (0 if is_over else 1)
    assert row.status == ("handed_off" if is_over else "completed")
    assert ("lost with their workers" in str(row.handed_off)) == is_over
    assert row.cost_microusd >= 10 * times
