"""Temporal: the dev server as `keyturn dev` runs it, and the time-skipping test server."""

import subprocess
import sysconfig
from pathlib import Path

from tests.servers.launch import Program, ServerUnavailable
from tests.servers.ports import free_port
from tests.servers.shared import Started

# The dev server's queues poll at most 20 times a second as it comes: 18–25 ms an
# activity with these, 50–100 ms without (docs/design.md, parts).
PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL")
QUEUES = ("transferProcessor", "timerProcessor")
LIMITS = ("MaxPollRPS", "MaxPollHostRPS")


def dev_server(data: Path, *dynamic: str) -> Started:
    """The real server, its data in a file in `data`, with the namespace `default`.

    `dynamic` holds more settings, each `name=value`.
    """
    port = free_port()
    address = f"127.0.0.1:{port}"
    temporal = str(program("temporal"))

    def is_ready() -> bool:
        describe = [temporal, "operator", "namespace", "describe", "-n", "default"]
        asked = [*describe, "--address", address, "--command-timeout", "2s"]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0

    command = (temporal, "server", "start-dev", "--headless", "--ip", "127.0.0.1")
    options = (f"--port={port}", f"--db-filename={data / 'temporal.db'}")
    more = [f"--dynamic-config-value={one}" for one in dynamic]
    flags = (*_tuning(), *more, "--log-level=warn")
    return Started(
        Program("Temporal", (*command, *options, *flags), data / "log", is_ready),
        address,
    )


def program(name: str) -> Path:
    """A program that a package of the lock file put beside our Python."""
    path = Path(sysconfig.get_path("scripts"), name)
    if not path.exists():
        raise ServerUnavailable(f"{path} is missing: run `make setup`.")
    return path


def _tuning() -> tuple[str, ...]:
    pragmas = [f"--sqlite-pragma={pragma}" for pragma in PRAGMAS]
    limits = [
        f"--dynamic-config-value=history.{queue}{limit}=10000"
        for queue in QUEUES
        for limit in LIMITS
    ]
    # A quarter of what is usual: long runs are continued as new in shorter tests.
    soon = "--dynamic-config-value=limit.historyCount.suggestContinueAsNew=1024"
    return (*pragmas, *limits, soon)
