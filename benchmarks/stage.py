"""What a benchmark runs on: a real Temporal server, the simulator, workers in processes."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from keyturn.orchestrator.store import migrate
from tests.servers import temporal

ROOT = Path(__file__).parents[1]


@contextmanager
def temporal_server() -> Generator[str]:
    """Run the embedded Temporal server, tuned as `keyturn dev` tunes it."""
    with TemporaryDirectory() as data:
        started = temporal.dev_server(Path(data))
        running = started.program.start()
        try:
            yield started.address
        finally:
            started.program.stop(running)


@contextmanager
def process(
    *command: str, env: dict[str, str] | None = None
) -> Generator[subprocess.Popen[str]]:
    """Run a Python module of ours as a process of its own."""
    running = subprocess.Popen(  # noqa: S603 runs our own command
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
    )
    try:
        yield running
    finally:
        running.terminate()
        running.wait(timeout=30)


@contextmanager
def simulator(*scenarios: str) -> Generator[str]:
    """Run the simulator with these scenarios before its own; gives its base URL."""
    named = [word for one in scenarios for word in ("--scenario", one)]
    with process(
        "-m", "keyturn.activities.llm.simulator", "--port", "0", *named
    ) as running:
        if running.stdout is None:
            raise RuntimeError("the simulator has no standard output")
        yield str(json.loads(running.stdout.readline())["url"])


@asynccontextmanager
async def database() -> AsyncGenerator[str]:
    """Give a fresh, migrated SQLite store."""
    with TemporaryDirectory() as data:
        url = f"sqlite+aiosqlite:///{data}/keyturn.db"
        await migrate.upgrade(url)
        yield url
        await asyncio.sleep(0)
