"""Starts the children in order, keeps them, and stops them in order."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.cli.dev import (
    announcement,
    data,
    environment,
    feed,
    people,
    programs,
    readiness,
)
from orchestrator.cli.dev.child import Child, Guard, Program
from orchestrator.cli.dev.data import Data
from orchestrator.cli.dev.environment import Environment
from orchestrator.cli.dev.people import SignIn
from orchestrator.cli.dev.ports import Ports
from orchestrator.cli.exit_status import Status
from orchestrator.settings import Settings
from orchestrator.store import migrate
from orchestrator.store.engine import Store

START_S = 60.0


async def run(folder: Path, *, port: int | None, as_json: bool) -> Status:
    """Run everything until SIGINT or SIGTERM; a second one stops at once."""
    with data.opened(folder) as kept:
        installation = Installation.of(kept, Ports(kept, web=port))
        return await installation.run(as_json=as_json)


@dataclass
class Installation:
    """All that runs for one data folder."""

    data: Data
    ports: Ports
    environment: Environment
    guard: Guard
    # In the order in which they stop.
    own: list[Child] = field(default_factory=list[Child])
    world: list[Child] = field(default_factory=list[Child])

    @classmethod
    def of(cls, kept: Data, ports: Ports) -> "Installation":
        """Return an installation of which nothing runs yet."""
        return cls(kept, ports, environment.of(kept, ports), Guard())

    async def run(self, *, as_json: bool) -> Status:
        """Start, announce, and wait for the signal to stop."""
        stop = Stop()
        starting = asyncio.create_task(self._start(as_json=as_json))
        stopping = asyncio.create_task(stop.asked.wait())
        try:
            await asyncio.wait(
                (starting, stopping), return_when=asyncio.FIRST_COMPLETED
            )
            if starting.done():
                starting.result()
                await stopping
        finally:
            starting.cancel()
            stopping.cancel()
            await self._stop(stop)
        return Status.DONE

    async def _start(self, *, as_json: bool) -> None:
        self._begin(
            self.world, programs.around(self.data, self.ports, self.environment)
        )
        self._begin(
            self.world, [programs.temporal(self.data, self.ports, self.environment)]
        )
        everyone = await self._prepare_store()
        self._begin(self.own, programs.keyturn(self.data, self.environment))
        await self._await_ready()
        if self.environment.has_support_desk:
            help_desk = people.of_role(everyone, people.SERVICE)
            await feed.feed(self.ports.url("web"), help_desk.token)
        if as_json:
            announcement.as_line(self.ports, everyone)
        else:
            announcement.as_table(
                self.ports, everyone, is_scripted=self.environment.is_scripted
            )

    def _begin(self, into: list[Child], some: Sequence[Program]) -> None:
        for program in some:
            child = Child(program, self.guard, _say)
            child.start()
            into.append(child)

    async def _prepare_store(self) -> list[SignIn]:
        url = self.data.database_url()
        await migrate.upgrade(url)
        store = Store(url)
        try:
            return await people.ensure(self.data, store)
        finally:
            await store.close()

    async def _await_ready(self) -> None:
        # Not from the environment: the children's settings are not this shell's.
        settings = Settings.model_construct(
            temporal_address=self.ports.address("temporal")
        )
        try:
            await asyncio.gather(
                readiness.wait(
                    "The web server",
                    readiness.answers(f"{self.ports.url('web')}/readyz"),
                    within_s=START_S,
                ),
                readiness.wait(
                    "A worker", readiness.polled(settings), within_s=START_S
                ),
            )
        except readiness.NotReady as error:
            raise readiness.NotReady(f"{error} {self._complaints()}") from None

    def _complaints(self) -> str:
        """Return the last words of every child that had to be started again."""
        troubled = [child for child in self.own + self.world if child.starts > 1]
        words = [f"\n{child.program.name}:\n{child.last_words()}" for child in troubled]
        return "".join(words) or f"The logs are in {self.data.logs}."

    async def _stop(self, stop: "Stop") -> None:
        _say("Stopping.")
        for child in (*self.own, *self.world):
            await child.stop(stop.urgent)
        self.guard.close()


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


def _say(words: str) -> None:
    sys.stderr.write(f"keyturn dev: {words}\n")
    sys.stderr.flush()
