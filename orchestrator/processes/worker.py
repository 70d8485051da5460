"""`keyturn worker`: the processes that think and, apart from them, that act."""

import asyncio
import os
import signal
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta

import httpx2
import structlog
from pydantic import SecretStr
from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import (
    SandboxedWorkflowRunner,
    SandboxRestrictions,
)

from keyturn.activities.connectors.books import HttpMailLog, HttpStatement
from keyturn.activities.connectors.source import Services, client
from keyturn.activities.fault import Fault
from keyturn.activities.finish import Finish
from keyturn.activities.guard import PAUSES_S, Guard
from keyturn.activities.llm import route
from keyturn.activities.llm.gateway import Models
from keyturn.activities.llm.lazy_provider import load_first
from keyturn.activities.llm.provider import Provider
from keyturn.activities.perform import CONNECTOR_TIMEOUT, OUTAGE_PAUSES_S, Perform
from keyturn.activities.reconciliation import Matcher
from keyturn.activities.run_tool import READ_PAUSES_S, RunTool
from keyturn.activities.store_away import StoreAway
from keyturn.activities.think.activity import Think
from keyturn.activities.toolbox import ConnectorSource, Toolbox
from keyturn.orchestrator.dispatch.dispatcher import Deliverer
from keyturn.orchestrator.processes import background, release_publisher
from keyturn.orchestrator.processes.code_version import code_version
from keyturn.orchestrator.processes.connection import connect
from keyturn.orchestrator.rules.authority.binding import Verifier
from keyturn.orchestrator.rules.contract import registry as contract_registry
from keyturn.orchestrator.rules.contract.model import Alias
from keyturn.orchestrator.rules.contract.registry import Registry
from keyturn.orchestrator.rules.errors import KeyturnError, StoreUnavailable
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.releases.trust import Trust
from keyturn.orchestrator.store.switches import unknown_names
from keyturn.workflows.act import ActLoop
from keyturn.workflows.compensate import Compensate

# How often a worker reports which providers it can ask.
SERVED_EVERY_S = 60
# The maximum number of a worker's concurrent transactions: its loop works on one at a
# time, and more would finish no sooner (`TurnsAtOnce`). The web server has no such
# bound: a switch or a pause waits for nobody.
AT_ONCE = 6
log = structlog.get_logger()

# Longer than the connector's timeout: an effect being sent is recorded before the end.
GRACE = CONNECTOR_TIMEOUT + timedelta(seconds=5)
# A dead worker's sticky queue keeps its runs for this long.
STICKY = timedelta(seconds=2)

# Our own workflow code is replayed in tests. Creating its classes again for each run
# took 12 ms of its start.
OWN_MODULES = (
    "keyturn.orchestrator",
    "keyturn.activities.interface",
    "keyturn.activities.overheard",
    "keyturn.workflows.act",
    "keyturn.workflows.agent",
    "keyturn.workflows.compensate",
    "keyturn.workflows.messages",
    "keyturn.workflows.stubs",
    "pydantic",
    "pydantic_core",
)
SANDBOX = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules(*OWN_MODULES)
)


class MissingDecisionKey(KeyturnError):
    """An effect worker cannot check decisions without the decision key."""


@dataclass(frozen=True)
class Parts:
    """The parts of a worker; tests and evaluations replace single parts."""

    settings: Settings
    store: Store
    client: Client
    registry: Registry
    providers: Mapping[str, Provider]
    readers: ConnectorSource
    writers: ConnectorSource
    code_pauses_s: tuple[float, ...] = PAUSES_S


def thinking_worker(parts: Parts) -> Worker:
    """Return the worker that runs workflows, thinks and reads."""
    toolbox = Toolbox(parts.registry.tools, parts.readers)
    models = Models(parts.store, parts.providers, parts.settings.prices)
    guard = Guard(parts.store, parts.code_pauses_s)
    reads = RunTool(
        parts.store, toolbox, Guard(parts.store, READ_PAUSES_S, ends_run=False)
    )
    return Worker(
        parts.client,
        task_queue=parts.settings.task_queue,
        workflows=[*parts.registry.workflows.values(), ActLoop, Compensate],
        activities=[
            Think(parts.store, models, toolbox, reads, guard).__call__,
            reads.__call__,
            Finish(parts.store, guard).__call__,
            Fault(parts.store, guard).__call__,
        ],
        workflow_runner=sandbox(parts.registry),
        sticky_queue_schedule_to_start_timeout=STICKY,
        graceful_shutdown_timeout=timedelta(seconds=5),
        max_concurrent_activities=100,
        build_id=code_version(),
        interceptors=[StoreAway()],
    )


def sandbox(registry: Registry) -> SandboxedWorkflowRunner:
    """Return the runner of applications' workflows; it loads their code for each run.

    Their contracts are not reloaded: they are frozen, run nothing, and creating their
    models again was a tenth of a worker's work.
    """
    contracts = (
        f"{cls.__module__.rpartition('.')[0]}.contracts"
        for cls in registry.workflows.values()
    )
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(
            *OWN_MODULES, *contracts
        )
    )


def effect_worker(parts: Parts) -> Worker:
    """Return the only worker with write credentials, which performs actions."""
    key = parts.settings.decision_key
    if key is None:
        raise MissingDecisionKey(
            "KEYTURN_DECISION_KEY is not set; the effect worker checks decisions with "
            "it. Give it the public half that `keyturn doctor` shows."
        )
    perform = Perform(
        store=parts.store,
        trust=Trust(
            Verifier(key.get_secret_value()),
            release_publisher.releases_of(parts.registry),
        ),
        toolbox=Toolbox(parts.registry.tools, parts.writers),
        holder=f"{socket.gethostname()}:{os.getpid()}",
        guard=Guard(
            parts.store,
            parts.code_pauses_s,
            outage_pauses_s=OUTAGE_PAUSES_S,
            ends_run=False,
        ),
    )
    return Worker(
        parts.client,
        task_queue=parts.settings.effects_queue,
        activities=[perform.__call__],
        graceful_shutdown_timeout=GRACE,
        max_concurrent_activities=50,
        build_id=code_version(),
        interceptors=[StoreAway()],
    )


async def run_worker(settings: Settings, *, effects: bool) -> None:
    """Work until SIGTERM or SIGINT; wait and say so while a service is unavailable."""
    apps = contract_registry.load(settings.app_names, models=settings.models)
    stop = _stop_signal()
    async with AsyncExitStack() as stack:
        store = Store(settings.database_url, at_once=AT_ONCE)
        stack.push_async_callback(store.close)
        http = await stack.enter_async_context(client())
        temporal = await _connected(settings, stop)
        if temporal is None:
            return
        parts = Parts(
            settings=settings,
            store=store,
            client=temporal,
            registry=apps,
            providers={} if effects else providers(settings),
            readers=Services(http, settings.service_urls()),
            writers=_writers(settings, http) if effects else Services(http, {}),
        )
        if not effects:
            await load_first(parts.providers, _asked(apps))
            if not await _looked_at_releases(parts, stop):
                return
        worker = effect_worker(parts) if effects else thinking_worker(parts)
        # The books are read by the worker that cannot write.
        matching = None if effects else matcher(settings, store, http)
        await _work(worker, parts, stop, matching)


def providers(settings: Settings) -> dict[str, Provider]:
    """Return the providers for which the settings have a key or an address."""
    keys = (settings.openai_api_key, settings.anthropic_api_key)
    openai, anthropic = (key.get_secret_value() if key else None for key in keys)
    return route.build_providers(
        openai_api_key=openai,
        openai_base_url=settings.openai_base_url,
        anthropic_api_key=anthropic,
        anthropic_base_url=settings.anthropic_base_url,
    )


def _asked(apps: Registry) -> list[Alias]:
    """Return the aliases that the contracts use as long as nothing fails."""
    names = {contract.model for contract in apps.contracts.values()}
    return [alias for alias in apps.aliases if alias.name in names]


def matcher(settings: Settings, store: Store, http: httpx2.AsyncClient) -> Matcher:
    """Return the reconciler of the ledger with the configured books."""
    statement, mail_log = settings.statement_url, settings.mail_log_url
    return Matcher(
        store=store,
        statement=HttpStatement(http, statement, _plain(settings.statement_key))
        if statement
        else None,
        mail_log=HttpMailLog(
            http, mail_log, settings.mail_from, _plain(settings.mail_log_key)
        )
        if mail_log
        else None,
    )


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def _writers(settings: Settings, http: httpx2.AsyncClient) -> Services:
    keys = {k: v.get_secret_value() for k, v in settings.service_keys.items()}
    return Services(
        http,
        settings.service_urls(),
        may_write=True,
        keys=keys,
        smtp_url=settings.smtp_url,
        mail_from=settings.mail_from,
    )


async def _connected(settings: Settings, stop: asyncio.Event) -> Client | None:
    while not stop.is_set():
        try:
            return await connect(settings)
        except (RuntimeError, OSError) as error:
            log.warning(
                "temporal.away", address=settings.temporal_address, error=str(error)
            )
            await _pause(stop, 2)
    return None


async def _looked_at_releases(parts: Parts, stop: asyncio.Event) -> bool:
    """Log workflows whose live release is not this code's; False if it has to stop."""
    while not stop.is_set():
        try:
            others = await release_publisher.not_live(parts.store, parts.registry)
        except StoreUnavailable as error:
            log.warning("store.away", error=str(error))
            await _pause(stop, 2)
            continue
        for workflow in others:
            log.warning(
                "release.not_live",
                workflow=workflow,
                do="run `keyturn release publish` to put this code's release live",
            )
        return True
    return False


async def _work(
    worker: Worker, parts: Parts, stop: asyncio.Event, matching: Matcher | None
) -> None:
    deliverer = Deliverer(
        parts.store,
        parts.client,
        parts.settings.task_queue,
        parts.settings.effects_queue,
    )
    # No upkeep of the record here: a worker's role may not write it.
    beside = [asyncio.create_task(background.restart_forever("sweep", deliverer.sweep))]
    if worker.task_queue == parts.settings.task_queue:
        said = background.restart_forever("served", lambda: _say_served(parts))
        beside.append(asyncio.create_task(said))
    if matching is not None:
        task = asyncio.create_task(
            background.restart_forever("match", matching.forever)
        )
        beside.append(task)
    log.info("worker.ready", queue=worker.task_queue)
    try:
        async with worker:
            await stop.wait()
    finally:
        for task in beside:
            task.cancel()
    log.info("worker.stopped", queue=worker.task_queue)


async def _say_served(parts: Parts) -> None:
    """Report every minute which providers this worker can ask, forever."""
    while True:
        with suppress(StoreUnavailable):
            await unknown_names.serve(
                parts.store, parts.providers, parts.settings.prices
            )
        await asyncio.sleep(SERVED_EVERY_S)


def _stop_signal() -> asyncio.Event:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, stop.set)
    return stop


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
