"""From the commit of a decision to the connector's call, and with a worker killed.

`python benchmarks/decision.py [--quick]`. Workers are processes of their own, as in
production; the payments service that is called is a real HTTP server in this process.
"""

import argparse
import asyncio
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[1]))

import uvicorn
from fastapi import FastAPI, Request
from pydantic import JsonValue, SecretStr
from sqlmodel import col, select

from benchmarks import stage
from benchmarks.report import end, progress, report
from keyturn.activities.llm.simulator.thread import listen, url_of
from keyturn.orchestrator.cli.dev import readiness
from keyturn.orchestrator.dispatch.dispatcher import Deliverer
from keyturn.orchestrator.processes import payload_keys, release_publisher
from keyturn.orchestrator.processes.connection import connect
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.contract import registry
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.approvals import decide as approval_decide
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.approvals.decision import Answer
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.row_codes import Voucher
from keyturn.orchestrator.store.runs import listing
from keyturn.orchestrator.store.runs import start as run_start
from keyturn.orchestrator.store.runs.start import NewRun
from keyturn.orchestrator.store.tables import ApprovalRow, EffectRow, PersonRow

# Later than any call that nothing has held up; from then on the record is asked too.
LATE_S = 1.0
APPS = "benchmarks.apps.loop"
APPROVER = Person(id="amy", name="Amy", role="agent", session="bench")


@dataclass
class Payments:
    """The service that effects call: when each key came first."""

    called: dict[str, float] = field(default_factory=dict[str, float])

    def app(self) -> FastAPI:
        """Return the service."""
        served = FastAPI()

        @served.post("/payments")
        async def pay(request: Request) -> dict[str, JsonValue]:
            key = request.headers["Idempotency-Key"]
            self.called.setdefault(key.partition(":")[0], time.perf_counter())
            return {"id": key}

        return served

    def serve(self) -> str:
        """Serve in a thread; return the address."""
        socket = listen(port=0)
        server = uvicorn.Server(uvicorn.Config(self.app(), log_level="error"))
        threading.Thread(
            target=server.run, kwargs={"sockets": [socket]}, daemon=True
        ).start()
        return url_of(socket)


@dataclass
class Fleet:
    """Two workers of each kind, each a process."""

    env: dict[str, str]
    running: dict[str, list["subprocess.Popen[bytes]"]] = field(
        default_factory=lambda: {"worker": [], "effects": []}
    )

    def start(self, kind: str) -> None:
        """Start one more worker of a kind."""
        more = ["--effects"] if kind == "effects" else []
        self.running[kind].append(
            subprocess.Popen(  # noqa: S603 runs our own command
                [sys.executable, "-m", "keyturn.orchestrator.cli", "worker", *more],
                env=self.env,
                cwd=stage.ROOT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    def kill(self, kind: str, *, at: int) -> None:
        """End one worker without warning, as a crash would."""
        one = self.running[kind].pop(at)
        one.send_signal(signal.SIGKILL)
        one.wait()

    def stop(self) -> None:
        """End all that is left."""
        for one in [*self.running["worker"], *self.running["effects"]]:
            one.kill()
            one.wait()


@dataclass(frozen=True)
class Desk:
    """Starts runs, decides, and times what follows."""

    store: Store
    deliverer: Deliverer
    signer: Signer
    payments: Payments
    settings: Settings

    async def wait_for_workers(self) -> None:
        """Return once a worker asks for work on each queue, and a while after."""
        await readiness.wait("a worker", readiness.polled(self.settings), within_s=90)
        await asyncio.sleep(5)

    async def wait_for_approval(self) -> ApprovalRow:
        """Start a run that asks to pay; return what it asks."""
        order = f"o{uuid4().hex}"
        new = NewRun(
            workflow="loop-whole",
            tenant="default",
            input={"customer": order, "text": f"pay {order}"},
        )
        row, _ = await run_start.start(self.store, new)
        await self.deliverer.deliver(row.id)
        async with asyncio.timeout(60):
            while True:
                async with self.store.read() as session:
                    found = await listing.pending_approvals(session, [row.id])
                    if found:
                        return await approval_lookup.get(session, found[row.id][0])
                await asyncio.sleep(0.05)

    async def decide(self, row: ApprovalRow) -> float:
        """Approve and deliver; return the moment of the commit."""
        answer = Answer(decision="approve", binding=row.binding or "")
        await approval_decide.decide(self.store, self.signer, APPROVER, row.id, answer)
        committed = time.perf_counter()
        await self.deliverer.deliver(row.run)
        return committed

    async def latency(self, run: str, since: float) -> float | None:
        """Return the milliseconds until the connector was called.

        None where its worker died after it had recorded that it sends and before it
        did: that is not sent again, and a person finds out what happened (P2).
        """
        async with asyncio.timeout(60):
            while run not in self.payments.called:
                late = time.perf_counter() - since > LATE_S
                if late and await self._is_unknown(run):
                    return None
                await asyncio.sleep(LATE_S / 4 if late else 0.005)
        return 1000 * (self.payments.called[run] - since)

    async def _is_unknown(self, run: str) -> bool:
        query = select(EffectRow.status).where(col(EffectRow.run) == run)
        async with self.store.read() as session:
            return "unknown" in (await session.execute(query)).scalars().all()


async def undisturbed(desk: Desk, *, count: int) -> list[float]:
    """Return the latencies of decisions one after the other."""
    found: list[float] = []
    for number in range(count):
        row = await desk.wait_for_approval()
        # Let the workflow settle into its wait, as a person's thinking would.
        await asyncio.sleep(0.3)
        took = await desk.latency(row.run, await desk.decide(row))
        if took is None:
            raise RuntimeError(f"{row.run}: unknown, though nothing was killed")
        found.append(took)
        if number % 10 == 9:
            progress(f"{number + 1} decisions, last {found[-1]:.0f} ms")
    return found


async def disturbed(
    desk: Desk, fleet: Fleet, *, count: int, seed: int
) -> tuple[list[float], int]:
    """Return the latencies where a worker of each kind is killed at the decision.

    And how many more were killed in the very act of sending.
    """
    found: list[float] = []
    sending = 0
    chance = random.Random(seed)  # noqa: S311 the value is not a secret
    while len(found) < count:
        row = await desk.wait_for_approval()
        await asyncio.sleep(0.3)
        since = await desk.decide(row)
        await asyncio.sleep(chance.uniform(0, 0.06))
        for kind in ("worker", "effects"):
            fleet.kill(kind, at=chance.randrange(2))
        took = await desk.latency(row.run, since)
        if took is None:
            sending += 1
            progress("with workers killed: while it was sending, so it is unknown")
        else:
            found.append(took)
            progress(f"with workers killed: {took:.0f} ms")
        for kind in ("worker", "effects"):
            fleet.start(kind)
        await asyncio.sleep(4)
    return found, sending


@asynccontextmanager
async def desk_for(
    settings: Settings, key: str, payments: Payments
) -> AsyncGenerator[Desk]:
    """Open the store and the connection of the process that decides."""
    store = Store(settings.database_url, voucher=Voucher(key))
    async with store.write() as session:
        now = await session.read_clock()
        session.add(
            PersonRow(
                id=APPROVER.id,
                name=APPROVER.name,
                email="amy@example.com",
                role="agent",
                created_at=now,
            )
        )
    apps = registry.load((APPS,))
    await release_publisher.publish(store, apps, Signer(key))
    deliverer = Deliverer(
        store, await connect(settings), settings.task_queue, settings.effects_queue
    )
    sweeping = asyncio.create_task(deliverer.sweep())
    try:
        yield Desk(store, deliverer, Signer(key), payments, settings)
    finally:
        sweeping.cancel()
        await store.close()


async def main() -> int:
    """Start what is needed, measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer decisions")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    payments, key = Payments(), new_key()
    with ExitStack() as stack:
        address = stack.enter_context(stage.temporal_server())
        simulator = stack.enter_context(stage.simulator("benchmarks.scenario:pay"))
        async with stage.database() as url:
            env = _environment(url, address, simulator, key, payments.serve())
            fleet = Fleet(env)
            stack.callback(fleet.stop)
            for kind in ("worker", "effects", "worker", "effects"):
                fleet.start(kind)
            settings = Settings(
                database_url=url,
                temporal_address=address,
                task_queue="decision",
                payload_keys=SecretStr(env["KEYTURN_PAYLOAD_KEYS"]),
            )
            async with desk_for(settings, key, payments) as desk:
                await desk.wait_for_workers()
                calm = await undisturbed(desk, count=20 if asked.quick else 100)
                hurt, sending = await disturbed(
                    desk, fleet, count=3 if asked.quick else 10, seed=asked.seed
                )
            fleet.stop()
            fleet.running = {"worker": [], "effects": []}
    figures = {
        "decision_to_call_p50_ms": statistics.median(calm),
        "decision_to_call_p95_ms": statistics.quantiles(calm, n=20)[-1],
        "killed_p50_ms": statistics.median(hurt),
        "killed_worst_ms": max(hurt),
        "decisions": len(calm),
        "kills": len(hurt),
        "killed_while_sending": sending,
    }
    goals = {"decision_to_call_p95_ms": "<= 150", "killed_worst_ms": "<= 8000"}
    return report("decision", figures, goals, seed=asked.seed)


def _environment(
    url: str, address: str, simulator: str, key: str, payments: str
) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("KEYTURN_")}
    return kept | {
        "KEYTURN_DATABASE_URL": url,
        "KEYTURN_TEMPORAL_ADDRESS": address,
        "KEYTURN_TASK_QUEUE": "decision",
        "KEYTURN_DECISION_KEY": Signer(key).public(),
        "KEYTURN_PAYLOAD_KEYS": payload_keys.new_keys(),
        "KEYTURN_APPS": APPS,
        "KEYTURN_PAYMENTS_URL": payments,
        "OPENAI_BASE_URL": f"{simulator}/v1",
        "PYTHONPATH": str(stage.ROOT),
    }


if __name__ == "__main__":
    end(asyncio.run(main()))
