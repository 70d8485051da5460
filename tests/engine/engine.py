"""The whole engine in one process: real Temporal, real store, scripted model."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from pydantic import SecretStr
from sqlmodel import col, select

from keyturn.activities.guard import PAUSES_S
from keyturn.activities.llm import route
from keyturn.activities.llm.simulator import Scenario, default, running_simulator
from keyturn.activities.toolbox import ConnectorSource
from keyturn.orchestrator.dispatch.dispatcher import TASK_TIMEOUT, Deliverer
from keyturn.orchestrator.dispatch.jobs import Upkeep
from keyturn.orchestrator.processes import payload_keys, release_publisher, worker
from keyturn.orchestrator.processes.connection import connect
from keyturn.orchestrator.rules.authority.binding import Signer, Verifier, new_key
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.authority.switch import Switch
from keyturn.orchestrator.rules.clock import Clock
from keyturn.orchestrator.rules.contract import registry
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.rules.status import ENDED_RUNS
from keyturn.orchestrator.store.approvals import decide as approval_decide
from keyturn.orchestrator.store.approvals.decision import Answer
from keyturn.orchestrator.store.db import roles
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.runs import start as run_start
from keyturn.orchestrator.store.runs.start import NewRun
from keyturn.orchestrator.store.switches import switches
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    CallRow,
    EffectRow,
    PersonRow,
    RunRow,
)
from tests.databases import patient
from tests.engine.world import World
from tests.whole import check_whole

PEOPLE = {"amy": "agent", "bob": "agent", "lea": "lead", "lou": "lead"}


@dataclass(frozen=True)
class Outside:
    """What tools reach instead of the world of fakes."""

    readers: ConnectorSource
    writers: ConnectorSource


@dataclass
class Engine:
    """Handles on the running engine, in the words of a test."""

    store: Store
    deliverer: Deliverer
    signer: Signer
    world: World
    parts: worker.Parts
    simulator: str = ""
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    async def start(self, text: str = "hello", **ticket: object) -> str:
        """Start a run and return its id."""
        value = {
            "customer_id": "c1",
            "email": "ann@example.com",
            "text": text,
            **ticket,
        }
        return await self.start_workflow("desk", value)

    async def start_workflow(self, workflow: str, value: dict[str, object]) -> str:
        """Start a run of any workflow and return its id."""
        row, _ = await run_start.start(
            self.store,
            NewRun(workflow=workflow, input=value, tenant="default"),  # pyright: ignore[reportArgumentType] JSON
        )
        await self.deliverer.deliver(row.id)
        return row.id

    async def run(self, run: str) -> RunRow:
        """Return the run as it is now."""
        async with self.store.read() as session:
            return await run_lookup.get(session, run)

    async def until(
        self, run: str, is_so: Callable[[RunRow], bool], *, seconds: float = 60
    ) -> RunRow:
        """Return the run once it is so; fail after some seconds."""
        row = await self.run(run)
        try:
            async with asyncio.timeout(seconds):
                # The run changes in other processes' ways: it can only be looked at.
                while not is_so(row := await self.run(run)):  # noqa: ASYNC110 see above
                    await asyncio.sleep(0.05)
        except TimeoutError:
            shown = row.model_dump(exclude={"input"})
            calls = [c.model_dump() for c in await self.calls(run)]
            raise AssertionError(f"the run is still {shown} {calls}") from None
        return row

    async def ended(self, run: str, *, seconds: float = 60) -> RunRow:
        """Return the run once it has ended."""
        return await self.until(
            run, lambda row: row.status in ENDED_RUNS, seconds=seconds
        )

    async def approval(self, run: str, tool: str | None = None) -> ApprovalRow:
        """Return the pending approval of the run, once there is one."""
        async with asyncio.timeout(60):
            while True:
                for row in await self.approvals(run):
                    if (
                        row.status == "pending"
                        and row.binding
                        and tool in (None, row.tool)
                    ):
                        return row
                await asyncio.sleep(0.05)

    async def approvals(self, run: str) -> list[ApprovalRow]:
        """Return all approvals of the run."""
        query = select(ApprovalRow).where(col(ApprovalRow.run) == run)
        async with self.store.read() as session:
            return list(
                (await session.execute(query.order_by(col(ApprovalRow.id)))).scalars()
            )

    async def calls(self, run: str) -> list[CallRow]:
        """Return the run's calls."""
        query = select(CallRow).where(col(CallRow.run) == run)
        query = query.order_by(col(CallRow.turn), col(CallRow.index))
        async with self.store.read() as session:
            return list((await session.execute(query)).scalars())

    async def effects(self, run: str) -> list[EffectRow]:
        """Return the run's effects."""
        query = select(EffectRow).where(col(EffectRow.run) == run)
        async with self.store.read() as session:
            return list((await session.execute(query)).scalars())

    async def switch(self, mode: str, name: str, **more: object) -> None:
        """Set a switch; `more` are its scope's fields, or `value`."""
        await switches.put(
            self.store,
            Switch.model_validate(
                {
                    "id": name,
                    "mode": mode,
                    "value": more.pop("value", None),
                    "reason": "look",
                    "author": "lea",
                    "created_at": datetime.now(UTC),
                    "scope": more,
                }
            ),
        )

    async def decide(
        self,
        row: ApprovalRow,
        who: str = "amy",
        decision: str = "approve",
        *,
        deliver: bool = True,
        **more: object,
    ) -> ApprovalRow:
        """Decide as `who` and deliver, as the process that commits does."""
        answer = Answer.model_validate(
            {"decision": decision, "binding": row.binding, **more}
        )
        decided = await approval_decide.decide(
            self.deliverer.store, self.signer, person(who), row.id, answer
        )
        if deliver:
            await self.deliverer.deliver(row.run)
        return decided


def person(name: str) -> Person:
    """Return one of the desk's people as a session knows them."""
    return Person(id=name, name=name.title(), role=PEOPLE[name], session=f"s-{name}")


@asynccontextmanager
async def running_engine(
    address: str,
    database_url: str,
    *scenarios: Scenario,
    apps: Sequence[str] = ("tests.apps.desk",),
    outside: Outside | None = None,
    clock: Clock | None = None,
    code_pauses_s: tuple[float, ...] = PAUSES_S,
    task_timeout: timedelta | None = TASK_TIMEOUT,
) -> AsyncGenerator[Engine]:
    """Run both workers in this process against a real Temporal server.

    The database has tables, and nobody in them.
    """
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(
            running_simulator(*scenarios, default)
        )
        key = new_key()
        settings = Settings(
            database_url=database_url,
            temporal_address=address,
            task_queue=f"test-{uuid4().hex}",
            decision_key=SecretStr(key),
            payload_keys=SecretStr(payload_keys.new_keys()),
        )
        store = patient(database_url, clock=clock)
        stack.push_async_callback(store.close)
        await _prepare(store)
        as_web, as_worker, as_effects = [
            await stack.enter_async_context(_store_of(role, database_url, clock))
            for role in roles.ROLES
        ]
        world = World(
            orders={"o1": {"order_id": "o1", "customer": "c1", "status": "delivered"}}
        )
        providers = route.build_providers(
            openai_base_url=f"{simulator}/v1", anthropic_base_url=simulator
        )
        stack.push_async_callback(route.close_providers, providers)
        parts = worker.Parts(
            settings=settings,
            store=as_worker,
            client=await connect(settings),
            registry=registry.load(apps),
            providers=providers,
            readers=outside.readers if outside else world.readers,
            writers=outside.writers if outside else world.writers,
            code_pauses_s=code_pauses_s,
        )
        await release_publisher.publish(store, parts.registry, Signer(key))
        await stack.enter_async_context(worker.thinking_worker(parts))
        acting = replace(parts, store=as_effects)
        await stack.enter_async_context(worker.effect_worker(acting))
        deliverer = Deliverer(
            as_web,
            parts.client,
            settings.task_queue,
            settings.effects_queue,
            task_timeout=task_timeout,
        )
        sweeping = asyncio.create_task(Upkeep(deliverer).sweep())
        stack.callback(sweeping.cancel)
        yield Engine(store, deliverer, Signer(key), world, parts, simulator)
        await check_whole(store, Verifier(key))


@asynccontextmanager
async def _store_of(role: str, url: str, clock: Clock | None) -> AsyncGenerator[Store]:
    """A store as one kind of process has it: with its role, where there are roles."""
    store = patient(roles.as_role(url, role), clock=clock)
    try:
        yield store
    finally:
        await store.close()


async def _prepare(store: Store) -> None:
    async with store.write() as session:
        now = await session.read_clock()
        for name, role in PEOPLE.items():
            session.add(
                PersonRow(
                    id=name,
                    name=name.title(),
                    email=f"{name}@example.com",
                    role=role,
                    created_at=now,
                )
            )
