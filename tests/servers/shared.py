"""Servers that every process of one test run shares."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from filelock import FileLock

from tests.servers.launch import Program, ServerUnavailable

STOP_TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Started:
    """What a maker hands over: the program to start and the address it will have."""

    program: Program
    address: str


@dataclass(frozen=True)
class Shared:
    """The folder of one test run: a lock, a state file and the data of each server."""

    folder: Path

    def address(self, name: str, make: Callable[[Path], Started]) -> str:
        """The address of the one server of that name, started by whoever asks first.

        Raises `ServerUnavailable`, for everyone alike, where it did not start.
        """
        state = self.folder / f"{name}.json"
        with FileLock(self.folder / f"{name}.lock"):
            if not state.exists():
                state.write_text(json.dumps(self._start(name, make)))
        known = json.loads(state.read_text())
        if "error" in known:
            raise ServerUnavailable(known["error"])
        return str(known["address"])

    def _start(
        self, name: str, make: Callable[[Path], Started]
    ) -> dict[str, str | int]:
        data = self.folder / name
        data.mkdir()
        try:
            started = make(data)
            process = started.program.start_for(self.folder / "run")
        except ServerUnavailable as error:
            return {"error": str(error)}
        process.returncode = 0  # the keeper outlives this process: nobody waits for it
        return {"address": started.address, "keeper": process.pid}


class Run:
    """A test run's hold on its shared servers; the controlling process alone has one."""

    def __init__(self) -> None:
        self.shared = Shared(Path(tempfile.mkdtemp(prefix="keyturn-tests-")))
        self.shared.folder.chmod(0o755)  # PostgreSQL runs as another user
        pipe = self.shared.folder / "run"
        os.mkfifo(pipe)
        self._pipe = os.open(pipe, os.O_RDWR)

    def end(self) -> None:
        """Returns when every shared server has ended and its data is gone."""
        os.close(self._pipe)
        keepers = [_process(state) for state in self.shared.folder.glob("*.json")]
        psutil.wait_procs([keeper for keeper in keepers if keeper], STOP_TIMEOUT_S)
        shutil.rmtree(self.shared.folder, ignore_errors=True)


def _process(state: Path) -> psutil.Process | None:
    keeper = json.loads(state.read_text()).get("keeper")
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(keeper) if keeper else None
    return None
