"""Milliseconds and history bytes per turn, beside a bare Temporal workflow.

`python benchmarks/turn.py [--quick]`. Both loops run on the same server, against the
same simulator, in the same process, one after the other; the bare one takes two
activities a turn, the first of which sends the same transcript with the bare SDK.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[1]))

from pydantic import SecretStr
from temporalio.client import Client
from temporalio.worker import Worker

from benchmarks import bare, bare_loop, history, stage
from benchmarks.apps.loop.contracts import WINDOW_TOKENS
from benchmarks.report import end, progress, report
from keyturn.activities.connectors.source import Services, client
from keyturn.activities.llm import route
from keyturn.orchestrator.dispatch.dispatcher import Deliverer
from keyturn.orchestrator.processes import payload_keys, release_publisher, worker
from keyturn.orchestrator.processes.connection import connect
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.contract import registry
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.rules.status import ENDED_RUNS
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.runs import start
from keyturn.orchestrator.store.runs.start import NewRun

# What the window holds of turns with 2 kB results, for the bare loop's own window.
WINDOW_TURNS = WINDOW_TOKENS * 4 // 2_100


@dataclass(frozen=True)
class Measured:
    """One loop: seconds from its start to its end, and the bytes of its history."""

    seconds: float
    bytes: int


@dataclass(frozen=True)
class Stage:
    """Both loops, ready to run."""

    client: Client
    store: Store
    deliverer: Deliverer
    queue: str

    async def ours(self, workflow: str, turns: int) -> Measured:
        """Run Keyturn's loop."""
        value = {"customer": "c1", "text": f"bench:{turns}:measure"}
        started = time.perf_counter()
        row, _ = await start.start(
            self.store,
            NewRun(workflow=workflow, tenant="default", input=dict(value)),
        )
        await self.deliverer.deliver(row.id)
        await self.client.get_workflow_handle(row.id).result()
        seconds = time.perf_counter() - started
        await self._check(row.id, turns)
        first = await history.first_child_run(self.client, row.id)
        size = await history.chain_bytes(self.client, f"{row.id}/act/1", first)
        return Measured(seconds, size)

    async def bare(self, turns: int, *, window: int | None = None) -> Measured:
        """Run the baseline."""
        name = f"bare-{uuid4().hex}"
        started = time.perf_counter()
        handle = await self.client.start_workflow(
            bare_loop.BareLoop.run,
            bare_loop.Job(name=name, turns=turns, window=window),
            id=name,
            task_queue=f"{self.queue}-bare",
        )
        await handle.result()
        seconds = time.perf_counter() - started
        first = handle.first_execution_run_id or ""
        size = await history.chain_bytes(self.client, name, first)
        bare.TRANSCRIPTS.pop(name, None)
        return Measured(seconds, size)

    async def _check(self, run: str, turns: int) -> None:
        async with self.store.read() as session:
            row = await run_lookup.get(session, run)
        if row.status not in ENDED_RUNS or row.turns != turns + 1:
            raise RuntimeError(f"{run} is {row.status} after {row.turns} turns")


@asynccontextmanager
async def staged(address: str, simulator: str, url: str) -> AsyncGenerator[Stage]:
    """Run both workers in this process."""
    settings = Settings(
        database_url=url,
        temporal_address=address,
        task_queue=f"bench-{uuid4().hex[:8]}",
        decision_key=SecretStr(new_key()),
        payload_keys=SecretStr(payload_keys.new_keys()),
        apps="benchmarks.apps.loop",
    )
    async with AsyncExitStack() as stack:
        store = Store(url)
        stack.push_async_callback(store.close)
        http = await stack.enter_async_context(client())
        parts = worker.Parts(
            settings=settings,
            store=store,
            client=await connect(settings),
            registry=registry.load(settings.app_names),
            providers=route.build_providers(openai_base_url=f"{simulator}/v1"),
            readers=Services(http, {}),
            writers=Services(http, {}),
        )
        await release_publisher.publish(store, parts.registry, Signer(new_key()))
        await stack.enter_async_context(worker.thinking_worker(parts))
        baseline = bare.Bare(f"{simulator}/v1")
        await stack.enter_async_context(
            Worker(
                parts.client,
                task_queue=f"{settings.task_queue}-bare",
                workflows=[bare_loop.BareLoop],
                activities=[baseline.model, baseline.tool],
                workflow_runner=worker.SANDBOX,
            )
        )
        yield Stage(
            parts.client,
            store,
            Deliverer(store, parts.client, settings.task_queue, settings.effects_queue),
            settings.task_queue,
        )


async def measure(stage_: Stage, *, is_quick: bool) -> dict[str, float]:
    """Return the figures; the quick form takes a tenth of the long loops."""
    long = 200 if is_quick else 1_000
    await stage_.ours("loop-whole", 3)
    await stage_.bare(3)
    figures: dict[str, float] = {}
    sizes: dict[tuple[str, int], int] = {}
    for turns in (10, 100):
        ours, base = await _pair(stage_, turns)
        figures[f"ms_per_turn_{turns}"] = 1000 * ours.seconds / turns
        figures[f"bare_ms_per_turn_{turns}"] = 1000 * base.seconds / turns
        figures[f"ms_ratio_{turns}"] = ours.seconds / base.seconds
        sizes["ours", turns], sizes["bare", turns] = ours.bytes, base.bytes
    figures |= await _long(stage_, long, sizes)
    return figures


async def _pair(stage_: Stage, turns: int) -> tuple[Measured, Measured]:
    """Return the faster of three runs of each, taken in turn."""
    pairs: list[tuple[Measured, Measured]] = []
    for repeat in range(3 if turns <= 10 else 2):
        progress(f"{turns} turns, ours and bare, {repeat + 1}")
        pairs.append((await stage_.ours("loop-whole", turns), await stage_.bare(turns)))
    return (
        min((ours for ours, _ in pairs), key=lambda one: one.seconds),
        min((base for _, base in pairs), key=lambda one: one.seconds),
    )


async def _long(
    stage_: Stage, long: int, sizes: dict[tuple[str, int], int]
) -> dict[str, float]:
    nearly = long - 100
    progress(f"100, {nearly} and {long} turns with a window, and {long} bare")
    short = await stage_.ours("loop-windowed", 100)
    before = await stage_.ours("loop-windowed", nearly)
    after = await stage_.ours("loop-windowed", long)
    base = await stage_.bare(long, window=WINDOW_TURNS)
    early = (sizes["ours", 100] - sizes["ours", 10]) / 90
    late = (after.bytes - before.bytes) / 100
    bare_early = (sizes["bare", 100] - sizes["bare", 10]) / 90
    return {
        "bytes_per_turn": early,
        f"bytes_per_turn_{nearly}_{long}": late,
        "bare_bytes_per_turn": bare_early,
        "bytes_ratio": early / bare_early,
        "bytes_slope_drift": abs(late / early - 1),
        f"ms_per_turn_{long}": 1000 * after.seconds / long,
        f"bare_ms_per_turn_{long}": 1000 * base.seconds / long,
        "ms_per_turn_100_windowed": 1000 * short.seconds / 100,
        "ms_long_over_100": (after.seconds / long) / (short.seconds / 100),
    }


GOALS = {
    "bytes_ratio": "<= 1.2",
    "bytes_slope_drift": "<= 0.05",
    "ms_ratio_10": "<= 1.3",
    "ms_ratio_100": "<= 1.3",
    "ms_long_over_100": "<= 1.3",
}


async def main() -> int:
    """Start what is needed, measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter loops")
    asked = parser.parse_args()
    with stage.temporal_server() as address, stage.simulator() as simulator:
        async with (
            stage.database() as url,
            staged(address, simulator, url) as ready,
        ):
            figures = await measure(ready, is_quick=asked.quick)
    return report("turn", figures, GOALS)


if __name__ == "__main__":
    end(asyncio.run(main()))
