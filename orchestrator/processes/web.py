"""`keyturn serve`: the pages, the HTTP API, and the delivery of their commits."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
import uvicorn
from pydantic import SecretStr

from keyturn.approvals.notify.sender import Sender
from keyturn.approvals.web.app import create_app, finish
from keyturn.orchestrator.dispatch.dispatcher import Deliverer
from keyturn.orchestrator.dispatch.jobs import Upkeep
from keyturn.orchestrator.processes import background, database
from keyturn.orchestrator.processes.connection import connect
from keyturn.orchestrator.processes.exit_status import Ended, WrongUsage
from keyturn.orchestrator.processes.head_in_time import HeadInTime
from keyturn.orchestrator.rules.authority.binding import Signer
from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store import revision
from keyturn.orchestrator.store.db.database import Store

log = structlog.get_logger()

# Open event streams do not end by themselves.
GRACE_S = 3
BACKLOG = 2048
# This many connections are reserved for switches and pauses.
RESERVE = 10


class SchemaNotCurrent(Ended):
    """The database's schema is not the one that this version needs."""


class AddressTaken(Ended):
    """Another program listens where the web server was told to."""


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Starts and answers while Temporal or the database is unavailable; /readyz then says
    so, and committed work is delivered when they are back.
    """
    signer = Signer(_secret(settings.decision_key, "KEYTURN_DECISION_KEY"))
    _secret(settings.secret_key, "KEYTURN_SECRET_KEY")
    _secret(settings.payload_keys, "KEYTURN_PAYLOAD_KEYS")
    await _refuse_old_schema(settings.database_url)
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(_listen(settings.host, settings.port))
        voucher = database.voucher(settings)
        store = Store(settings.database_url, reserve=RESERVE, voucher=voucher)
        stack.push_async_callback(store.close)
        deliverer = Deliverer(
            store,
            await connect(settings, lazy=True),
            settings.task_queue,
            settings.effects_queue,
        )
        sender = Sender.of(settings, store)
        stack.push_async_callback(sender.close)
        app = create_app(settings, store, deliverer, signer)
        stack.push_async_callback(finish, app)
        await stack.enter_async_context(
            _beside(
                sweep=Upkeep(deliverer).sweep,
                seal=lambda: background.seal_forever(store),
                notices=sender.forever,
            )
        )
        await _run(app, listening)


async def _run(app: object, listening: socket.socket) -> None:
    server = uvicorn.Server(
        uvicorn.Config(
            app,  # pyright: ignore[reportArgumentType] an ASGI application
            log_level="warning",
            access_log=False,
            server_header=False,
            http=HeadInTime,
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises its stop signal again at its end; here it ends normally.
        loop.add_signal_handler(number, lambda: None)
    host, port = listening.getsockname()[:2]
    log.info("web.ready", url=f"http://{host}:{port}")
    await server.serve(sockets=[listening])
    log.info("web.stopped")


@asynccontextmanager
async def _beside(**works: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    tasks = [
        asyncio.create_task(background.restart_forever(name, work))
        for name, work in works.items()
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)


async def _refuse_old_schema(url: str) -> None:
    try:
        remedy = await revision.check(url)
    except StoreUnavailable as error:
        log.warning("store.away", error=str(error))
        return
    if remedy is not None:
        raise SchemaNotCurrent(remedy)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY on accepted connections; without
    # it, an answer in two writes waits up to 40 ms for the first one's acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise AddressTaken(
            f"Cannot listen on {host}, port {port}: {error.strerror}. Set KEYTURN_HOST "
            "and KEYTURN_PORT to a free address."
        ) from None
    return listening


def _secret(value: SecretStr | None, name: str) -> str:
    if value is None or not value.get_secret_value():
        raise WrongUsage(f"{name} is not set; `keyturn user key` makes one.")
    return value.get_secret_value()
