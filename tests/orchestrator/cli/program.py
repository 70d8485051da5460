"""`keyturn` as a user runs it: a process with an environment of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from keyturn.orchestrator.processes import payload_keys
from keyturn.orchestrator.rules.authority.binding import new_key
from tests.orchestrator.cli import warm
from tests.servers import http
from tests.servers.ports import free_port

COMMAND = (sys.executable, "-P", "-m", "keyturn.orchestrator.cli")
NOWHERE = "127.0.0.1:1"
# A machine that runs other tests beside is slow to start a process.
START_S = 240.0


@dataclass(frozen=True)
class Said:
    """What a command left: its status and its two outputs."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """The answer of a command that was asked for JSON."""
        assert self.status == 0, self.err
        return json.loads(self.out)


@dataclass(frozen=True)
class Keyturn:
    """The command line over one environment."""

    environment: Mapping[str, str]
    folder: Path

    def __call__(self, *arguments: str, given: str = "") -> Said:
        said = (self._warm if warm.is_warm(arguments) else self._cold)(arguments, given)
        assert "Traceback" not in said.err, said.err
        return said

    def _cold(self, arguments: Sequence[str], given: str) -> Said:
        done = subprocess.run(
            [*COMMAND, *arguments],
            input=given,
            env=self._full(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def _warm(self, arguments: Sequence[str], given: str) -> Said:
        with tempfile.TemporaryDirectory() as place:
            files = [Path(place, name) for name in ("in", "out", "err")]
            for file in files:
                file.write_text(given if file.name == "in" else "")
            status = warm.run(arguments, self._full(), self.folder, files)
            return Said(status, files[1].read_text(), files[2].read_text())

    def but(self, **more: str) -> "Keyturn":
        """The same with other settings; an empty one is left out."""
        merged = {**self.environment, **more}
        kept = {name: value for name, value in merged.items() if value}
        return Keyturn(kept, self.folder)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """A process that goes on."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            env=self._full(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _full(self) -> dict[str, str]:
        outer = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("KEYTURN_", "OPENAI_", "ANTHROPIC_"))
        }
        return {**outer, **self.environment}


def here(folder: Path) -> Keyturn:
    """Keyturn on a database file of its own, with Temporal away."""
    port = free_port()
    return Keyturn(
        {
            "KEYTURN_DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'keyturn.db'}",
            "KEYTURN_TEMPORAL_ADDRESS": NOWHERE,
            "KEYTURN_DATA_DIR": str(folder),
            "KEYTURN_SECRET_KEY": "a secret of these tests",
            "KEYTURN_DECISION_KEY": new_key(),
            "KEYTURN_PAYLOAD_KEYS": payload_keys.new_keys(),
            "KEYTURN_PORT": str(port),
            "KEYTURN_URL": f"http://127.0.0.1:{port}",
        },
        folder,
    )


@dataclass
class Web:
    """A running `keyturn serve`."""

    keyturn: Keyturn
    process: "subprocess.Popen[str]"
    tokens: dict[str, str] = field(default_factory=dict)

    def as_(self, role: str) -> Keyturn:
        """The command line of somebody with this role."""
        if role not in self.tokens:
            address = f"{role}@example.com"
            options = ("--name", role, "--role", role, "--decides-at-once")
            added = self.keyturn("user", "add", address, *options)
            assert added.status == 0, added.err
            self.tokens[role] = self.keyturn("user", "token", address).out.strip()
        return self.keyturn.but(KEYTURN_TOKEN=self.tokens[role])


@contextmanager
def serving(keyturn: Keyturn) -> Generator[Web]:
    """A web server that answers, until the block ends."""
    process = keyturn.start("serve")
    try:
        _await(f"{keyturn.environment['KEYTURN_URL']}/healthz", process)
        yield Web(keyturn, process)
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _await(url: str, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode}: {process.stdout}")
        try:
            if http.get(url, timeout=2).status_code < 500:
                return
        except httpx2.HTTPError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")
