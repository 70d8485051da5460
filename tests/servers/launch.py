"""Server programs: how one is started, found ready and stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.servers import keeper

START_TIMEOUT_S = 40.0
STOP_TIMEOUT_S = 10.0


class ServerUnavailable(Exception):
    """A server that the tests need is not installed or does not start."""


@dataclass(frozen=True)
class Program:
    """A server program, ready to be started any number of times."""

    name: str
    command: tuple[str, ...]
    log: Path
    is_ready: Callable[[], bool]
    stop_signal: signal.Signals = signal.SIGTERM
    user: str = ""  # the account it runs as; empty: the tests' own

    def start(self) -> "subprocess.Popen[bytes]":
        """Its process, once it answers."""
        groups: list[str] | None = [] if self.user else None
        return self._start(self.command, user=self.user or None, extra_groups=groups)

    def start_for(self, run: Path) -> "subprocess.Popen[bytes]":
        """A keeper's process, once the server answers; it ends the server with the run.

        `run` is a named pipe that the run's controller holds open.
        """
        keep = (sys.executable, "-I", keeper.__file__, str(run))
        return self._start((*keep, self.stop_signal.name, self.user, *self.command))

    def stop(
        self, process: "subprocess.Popen[bytes]", how: signal.Signals | None = None
    ) -> None:
        """Returns when the process has ended; `how` SIGKILL is a crash."""
        process.send_signal(how or self.stop_signal)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(
        self,
        command: tuple[str, ...],
        user: str | None = None,
        extra_groups: list[str] | None = None,
    ) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=user,
                extra_groups=extra_groups,
            )
        self._await_ready(process)
        return process

    def _await_ready(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop(process, signal.SIGKILL)
                words = self.log.read_text(errors="replace")[-2000:]
                raise ServerUnavailable(f"{self.name} does not start; it said: {words}")
            time.sleep(0.05)
