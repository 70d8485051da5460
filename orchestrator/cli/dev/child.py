"""One child process: started with its own environment, restarted, stopped in order."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from keyturn.orchestrator.cli.dev import guard

# The prefix of the sentence with which a command of ours ends.
SAYS = "keyturn: "
SHORT_LIFE_S = 30.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0


@dataclass(frozen=True)
class Program:
    """A child's command, and its complete environment."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    patience_s: float = 5.0
    # It runs to completion once, and is not restarted after that.
    once: bool = False

    def as_line(self) -> str:
        """Return it as one line of JSON, for the process that will start it."""
        return json.dumps({**asdict(self), "log": str(self.log)}) + "\n"

    @classmethod
    def of_line(cls, line: bytes) -> "Program":
        """Return the program from such a line."""
        said = json.loads(line)
        return cls(
            name=said["name"],
            command=tuple(said["command"]),
            environment=said["environment"],
            log=Path(said["log"]),
            patience_s=said["patience_s"],
            once=said["once"],
        )


class Guard:
    """A process that ends the children if this one is killed."""

    def __init__(self) -> None:
        """Start it, in its own session: it does not receive a Ctrl-C."""
        self._process = subprocess.Popen(  # noqa: S603 runs our own program
            (sys.executable, "-I", guard.__file__),
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def add(self, group: int) -> None:
        """Add a process group to the guard."""
        self._say(f"+{group}\n")

    def remove(self, group: int) -> None:
        """Remove an ended group: its number may be reused."""
        self._say(f"-{group}\n")

    def close(self) -> None:
        """Release the guard; it ends every group that it still has."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def _say(self, words: str) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(words)
                self._process.stdin.flush()


@dataclass
class Child:
    """A program that is kept running until `stop`."""

    program: Program
    guard: Guard
    say: Callable[[str], None]
    starts: int = 0
    _process: asyncio.subprocess.Process | None = None
    _keeping: "asyncio.Task[None] | None" = None
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self) -> None:
        """Start the program, and restart it whenever it ends."""
        self._keeping = asyncio.create_task(self._keep())

    async def stop(self, urgent: asyncio.Event) -> None:
        """End the program; kill it if that is urgent or takes too long."""
        self._stopping.set()
        if self._keeping is None:
            return
        if self._process is not None:
            _signal(self._process.pid, signal.SIGTERM)
        hurry = asyncio.create_task(urgent.wait())
        done, _ = await asyncio.wait(
            (self._keeping, hurry),
            timeout=self.program.patience_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
        hurry.cancel()
        if self._keeping not in done and self._process is not None:
            self.say(f"{self.program.name} did not stop in time; killing it.")
            _signal(self._process.pid, signal.SIGKILL)
        await self._keeping

    def last_words(self) -> str:
        """Return the end of the log, for the message that it does not start."""
        text = self.program.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-15:])

    def _why(self) -> str:
        """Return the program's last sentence, such as a contract's fault."""
        *_, last = ("", *self.last_words().splitlines())
        said = last.removeprefix(SAYS)
        return "" if said == last else f"It says: {said}\n"

    async def _keep(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._stopping.is_set():
            began = time.monotonic()
            status = await self._run()
            if self._stopping.is_set() or (self.program.once and status == 0):
                return
            if time.monotonic() - began > SHORT_LIFE_S:
                pause = FIRST_PAUSE_S
            self.say(
                f"{self.program.name} ended with status {status}; starting it again "
                f"in {pause:g} s. {self._why()}Its log: {self.program.log}"
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _run(self) -> int:
        self.starts += 1
        with self.program.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self.program.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(self.program.environment),
                start_new_session=True,
            )
        self._process = process
        self.guard.add(process.pid)
        if self._stopping.is_set():
            _signal(process.pid, signal.SIGTERM)
        status = await process.wait()
        # The processes that it started end with it.
        _signal(process.pid, signal.SIGKILL)
        self.guard.remove(process.pid)
        return status


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
