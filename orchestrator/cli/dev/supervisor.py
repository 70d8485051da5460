"""Keeps the children of an installation running, and stops them in order.

Uses only the standard library: this process only waits, for days. Everything else is
done by the starter, a process that ends when everything is ready.
"""

import argparse
import asyncio
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

from keyturn.orchestrator.cli.dev import data
from keyturn.orchestrator.cli.dev.child import Child, Guard, Program
from keyturn.orchestrator.cli.dev.data import Data
from keyturn.orchestrator.cli.dev.ports import HeldPorts
from keyturn.orchestrator.processes import exit_status
from keyturn.orchestrator.processes.exit_status import Status
from keyturn.orchestrator.rules.errors import KeyturnError

STARTER = "keyturn.orchestrator.cli.dev.starter"
# Our own processes, in the order in which they stop; then the demo services.
OWN = ("release", "web", "worker", "effects")
# A line contains the whole environment of a child.
LONGEST_LINE = 16_000_000


async def run(folder: Path, *, port: int | None, as_json: bool) -> int:
    """Run everything until SIGINT or SIGTERM; a second one stops at once."""
    with data.opened(folder) as kept:
        # The ports are held for as long as this variable exists.
        ports = HeldPorts(kept, web=port)
        status = await Installation(kept).run(as_json=as_json)
        del ports
        return status


@dataclass
class Installation:
    """All processes of one data folder."""

    data: Data
    guard: Guard = field(default_factory=Guard)
    children: list[Child] = field(default_factory=list[Child])

    async def run(self, *, as_json: bool) -> int:
        """Start, wait for the signal to stop, stop; return the exit status."""
        stop = Stop()
        starting = asyncio.create_task(self._start(as_json=as_json))
        stopping = asyncio.create_task(stop.asked.wait())
        try:
            await asyncio.wait(
                (starting, stopping), return_when=asyncio.FIRST_COMPLETED
            )
            if stopping.done():
                return Status.DONE
            if status := starting.result():
                self._complain()
                return status
            await stopping
        finally:
            starting.cancel()
            stopping.cancel()
            await asyncio.gather(starting, stopping, return_exceptions=True)
            await self._stop(stop)
        return Status.DONE

    async def _start(self, *, as_json: bool) -> int:
        """Run the starter, start its programs, and return its status."""
        pipe, starter_end = os.pipe()
        try:
            starter = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-P",
                    "-m",
                    STARTER,
                    str(self.data.root),
                    str(starter_end),
                ),
                *(["--json"] if as_json else []),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(starter_end,),
                # Only the supervisor receives a Ctrl-C; it then ends this process.
                start_new_session=True,
            )
        finally:
            os.close(starter_end)
        self.guard.add(starter.pid)
        try:
            async for line in await _lines(pipe):
                self._begin(Program.of_line(line))
            return await starter.wait()
        finally:
            if starter.returncode is None:
                starter.kill()
                await starter.wait()
            self.guard.remove(starter.pid)

    def _begin(self, program: Program) -> None:
        child = Child(program, self.guard, _say)
        child.start()
        self.children.append(child)

    def _complain(self) -> None:
        """Show the last log lines of every child that had to be restarted."""
        for child in self.children:
            if child.starts > 1:
                _say(f"{child.program.name}'s last words:\n{child.last_words()}")
        if self.children:
            _say(f"The logs are in {self.data.logs}.")

    async def _stop(self, stop: "Stop") -> None:
        _say("Stopping.")
        for child in sorted(self.children, key=_turn_to_stop):
            await child.stop(stop.urgent)
        self.guard.close()


def _turn_to_stop(child: Child) -> int:
    name = child.program.name
    return OWN.index(name) if name in OWN else len(OWN)


async def _lines(pipe: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb")
    )
    return reader


class Stop:
    """SIGINT and SIGTERM, counted: the second is urgent."""

    def __init__(self) -> None:
        """Listen for both from now on."""
        self.asked = asyncio.Event()
        self.urgent = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._hear)

    def _hear(self) -> None:
        (self.urgent if self.asked.is_set() else self.asked).set()


def main() -> int:
    """Run what the arguments describe; return the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int)
    parser.add_argument("--json", action="store_true", dest="as_json")
    given = parser.parse_args()
    try:
        return asyncio.run(run(given.folder, port=given.port, as_json=given.as_json))
    except KeyturnError as error:
        sys.stderr.write(f"keyturn: {error}\n")
        return exit_status.of(error)


def _say(words: str) -> None:
    sys.stderr.write(f"keyturn dev: {words}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
