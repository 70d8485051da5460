"""The real engine for one suite: Temporal, a store of its own, both workers."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from pydantic import SecretStr

from keyturn.activities.llm import route
from keyturn.activities.llm.provider import Provider
from keyturn.activities.llm.simulator import running_simulator
from keyturn.activities.llm.simulator.support import play
from keyturn.orchestrator.dispatch.dispatcher import Deliverer
from keyturn.orchestrator.dispatch.jobs import Upkeep
from keyturn.orchestrator.evals.capture import Outside, Watched
from keyturn.orchestrator.evals.temporal import own_server
from keyturn.orchestrator.processes import payload_keys, release_publisher, worker
from keyturn.orchestrator.processes.connection import connect
from keyturn.orchestrator.processes.exit_status import Away
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.contract import registry
from keyturn.orchestrator.rules.policy.rules import Role
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store import migrate
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.row_codes import Voucher
from keyturn.orchestrator.store.people import accounts
from keyturn.orchestrator.store.people.accounts import NewPerson

# Enough people of each role for every approval that a contract may require.
STAFF: tuple[Role, ...] = ("agent",) * 5 + ("lead",) * 5


@dataclass(frozen=True)
class Engine:
    """Handles on the running engine."""

    store: Store
    deliverer: Deliverer
    signer: Signer
    staff: tuple[Person, ...]
    outside: Outside
    releases: dict[str, str]
    is_scripted: bool


@asynccontextmanager
async def running(
    settings: Settings, *, temporal: str | None = None
) -> AsyncGenerator[Engine]:
    """Run the engine of `settings`, with effects captured and a store of its own.

    Asks the providers that have keys or addresses, else the scripted model. Without an
    address, Temporal is started here. Raises `Away` where it does not answer.
    """
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="keyturn-eval"))
        address = temporal or await stack.enter_async_context(own_server(Path(folder)))
        key = new_key()
        own = settings.model_copy(
            update={
                "database_url": f"sqlite+aiosqlite:///{folder}/eval.db",
                "temporal_address": address,
                "task_queue": f"eval-{uuid4().hex[:12]}",
                "decision_key": SecretStr(key),
                "payload_keys": SecretStr(payload_keys.new_keys()),
            }
        )
        await migrate.upgrade(own.database_url)
        # Nobody signs in here: its people vouch for one another.
        store = Store(own.database_url, voucher=Voucher(key))
        stack.push_async_callback(store.close)
        outside = Outside()
        stack.push_async_callback(outside.close)
        parts = await _parts(stack, own, store, outside)
        releases = await release_publisher.publish(store, parts.registry, Signer(key))
        await stack.enter_async_context(worker.thinking_worker(parts))
        await stack.enter_async_context(worker.effect_worker(parts))
        deliverer = Deliverer(store, parts.client, own.task_queue, own.effects_queue)
        sweeping = asyncio.create_task(Upkeep(deliverer).sweep())
        stack.callback(sweeping.cancel)
        yield Engine(
            store=store,
            deliverer=deliverer,
            signer=Signer(key),
            staff=await _staff(store),
            outside=outside,
            releases=releases,
            is_scripted=not _has_provider(settings),
        )


async def _parts(
    stack: AsyncExitStack, settings: Settings, store: Store, outside: Outside
) -> worker.Parts:
    try:
        client = await connect(settings)
    except (RuntimeError, OSError) as error:
        raise Away(
            f"Temporal at {settings.temporal_address} does not answer: {error}. Start "
            "it, or omit --temporal: then a server is started for the suite."
        ) from None
    providers = await _providers(stack, settings)
    stack.push_async_callback(route.close_providers, providers)
    return worker.Parts(
        settings=settings,
        store=store,
        client=client,
        registry=registry.load(settings.app_names, models=settings.models),
        providers={n: Watched(one, outside) for n, one in providers.items()},
        readers=outside.readers,
        writers=outside.writers,
    )


async def _providers(stack: AsyncExitStack, settings: Settings) -> dict[str, Provider]:
    if _has_provider(settings):
        return worker.providers(settings)
    simulator = await stack.enter_async_context(running_simulator(play))
    return route.build_providers(
        openai_base_url=f"{simulator}/v1", anthropic_base_url=simulator
    )


def _has_provider(settings: Settings) -> bool:
    return any(
        (
            settings.openai_api_key,
            settings.openai_base_url,
            settings.anthropic_api_key,
            settings.anthropic_base_url,
        )
    )


async def _staff(store: Store) -> tuple[Person, ...]:
    found: list[Person] = []
    for number, role in enumerate(STAFF):
        name = f"{role.title()} {number}"
        new = NewPerson(name=name, email=f"staff{number}@eval.example.com", role=role)
        row = await accounts.add(store, new, password_hash=None, by="eval")
        await accounts.waive_first_day(store, row.id, by="eval")
        found.append(Person(id=row.id, name=name, role=role, session="eval"))
    return tuple(found)
