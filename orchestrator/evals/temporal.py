"""The suite's own Temporal server: in memory, and removed with the suite."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.client import Client

from keyturn.orchestrator.cli.dev.child import Child, Guard, Program
from keyturn.orchestrator.cli.dev.ports import LOCALHOST
from keyturn.orchestrator.cli.dev.programs import LIMITS, QUEUES, binary
from keyturn.orchestrator.cli.dev.readiness import NotReady, wait
from keyturn.orchestrator.processes.exit_status import Away

READY_S = 40.0


@asynccontextmanager
async def own_server(folder: Path) -> AsyncGenerator[str]:
    """Yield the address of a running server; raise `Away` where it does not start.

    It is ended with the suite, also where the suite is killed.
    """
    guard = Guard()
    port = _free_port()
    program = Program(
        name="temporal",
        command=_command(port),
        environment=dict(os.environ),
        log=folder / "temporal.log",
    )
    child = Child(program, guard, _say)
    child.start()
    try:
        await _until_ready(child, f"{LOCALHOST}:{port}")
        yield f"{LOCALHOST}:{port}"
    finally:
        await child.stop(asyncio.Event())
        guard.close()


def _command(port: int) -> tuple[str, ...]:
    limits = [
        f"--dynamic-config-value=history.{queue}{limit}=10000"
        for queue in QUEUES
        for limit in LIMITS
    ]
    return (
        str(binary("temporal")),
        "server",
        "start-dev",
        "--headless",
        f"--ip={LOCALHOST}",
        f"--port={port}",
        "--log-level=error",
        *limits,
    )


async def _until_ready(child: Child, address: str) -> None:
    async def answers() -> bool:
        try:
            client = await Client.connect(address)
            return await client.service_client.check_health()
        except (RuntimeError, OSError):
            return False

    try:
        await wait("Temporal", answers, within_s=READY_S)
    except NotReady as error:
        raise Away(f"{error} It said: {child.last_words()}") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        return int(probe.getsockname()[1])


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")
