"""Starts the simulator, in a thread of this process or permanently."""

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import uvicorn

from keyturn.activities.llm.simulator.scenarios import Scenario
from keyturn.activities.llm.simulator.server import ConnectionCut, app


@asynccontextmanager
async def running_simulator(*scenarios: Scenario) -> AsyncGenerator[str]:
    """Run the simulator in its own thread; yields its base URL.

    Anthropic's base URL is this one, OpenAI's is this one with `/v1`.
    """
    listening = listen(port=0)
    server = server_for(scenarios)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listening]}, daemon=True
    )
    thread.start()
    try:
        # The socket already listens: a request before the server's start just waits.
        yield url_of(listening)
    finally:
        server.should_exit = True
        await asyncio.to_thread(thread.join)
        listening.close()


def listen(*, port: int, host: str = "127.0.0.1") -> socket.socket:
    """Return a listening socket; port 0 takes any free port."""
    # With the protocol named, asyncio sets TCP_NODELAY on accepted connections;
    # without, every answer waits 40 ms for a delayed acknowledgement.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(2048)
    return listening


def url_of(listening: socket.socket) -> str:
    """Return the address of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://{host}:{port}"


def server_for(scenarios: Sequence[Scenario]) -> uvicorn.Server:
    """Return the server, which logs only real errors."""
    logging.getLogger("uvicorn.error").addFilter(is_no_cut)
    config = uvicorn.Config(
        app(scenarios),
        lifespan="off",
        access_log=False,
        log_level="error",
        ws="none",
        # Longer than clients keep idle connections: none is closed under a request.
        timeout_keep_alive=600,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def is_no_cut(record: logging.LogRecord) -> bool:
    """Filter connections cut by a scenario out of the log: they are no errors."""
    return not (record.exc_info and isinstance(record.exc_info[1], ConnectionCut))
