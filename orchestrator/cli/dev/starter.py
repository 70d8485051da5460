"""Starts an installation: says what to run, prepares the store, tells when all is ready.

A process of its own (`python -m orchestrator.cli.dev.starter`), which ends when everything
runs: the supervisor, which stays, needs none of what this loads. What is to be run goes to
the file descriptor that it was given, a line of JSON for each program.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx2

from orchestrator import settings
from orchestrator.cli import exit_status
from orchestrator.cli.dev import (
    announcement,
    environment,
    feed,
    people,
    programs,
    readiness,
)
from orchestrator.cli.dev.child import Program
from orchestrator.cli.dev.data import Data
from orchestrator.cli.dev.environment import Environment
from orchestrator.cli.dev.people import SignIn
from orchestrator.cli.dev.ports import Ports
from orchestrator.cli.exit_status import Status
from orchestrator.errors import KeyturnError
from orchestrator.settings import Settings
from orchestrator.store import migrate
from orchestrator.store.engine import Store

START_S = 120.0


@dataclass(frozen=True)
class Starter:
    """What a start needs: the folder, the ports, and whom to tell what to run."""

    data: Data
    ports: Ports
    environment: Environment
    told: IO[str]

    async def start(self, *, as_json: bool) -> None:
        """Have everything started in order; return when it is ready and said so."""
        given = self.data, self.ports, self.environment
        self._run([programs.around(*given), programs.temporal(*given)])
        everyone = await self._prepare_store()
        self._run(programs.keyturn(self.data, self.environment))
        # One for all: each new one loads the authorities' certificates, which as often as
        # a process that starts is asked took a third of a core from it.
        async with httpx2.AsyncClient() as client:
            await self._await_ready(client)
            if self.environment.has_support_desk:
                help_desk = people.of_role(everyone, people.SERVICE)
                await feed.feed(client, self.ports.url("web"), help_desk.token)
        self._announce(everyone, as_json=as_json)

    def _run(self, some: Sequence[Program]) -> None:
        for program in some:
            self.told.write(program.as_line())
        self.told.flush()

    async def _prepare_store(self) -> list[SignIn]:
        url = environment.database_url(self.data)
        await migrate.upgrade(url)
        store = Store(url)
        try:
            return await people.ensure(self.data, store)
        finally:
            await store.close()

    async def _await_ready(self, client: httpx2.AsyncClient) -> None:
        # Not from the environment: the children's settings are not this shell's.
        own = Settings.model_construct(temporal_address=self.ports.address("temporal"))
        await asyncio.gather(
            readiness.wait(
                "The web server",
                readiness.answers(f"{self.ports.url('web')}/readyz", client),
                within_s=START_S,
            ),
            readiness.wait("A worker", readiness.polled(own), within_s=START_S),
        )

    def _announce(self, everyone: list[SignIn], *, as_json: bool) -> None:
        if as_json:
            announcement.as_line(self.ports, everyone)
        else:
            announcement.as_table(
                self.ports, everyone, is_scripted=self.environment.is_scripted
            )


def main() -> Status:
    """Start what the arguments name; return how it went."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("told", type=int)
    parser.add_argument("--json", action="store_true", dest="as_json")
    given = parser.parse_args()
    try:
        settings.read()
        data = Data(given.folder)
        ports = Ports.kept(data)
        with os.fdopen(given.told, "w") as told:
            starter = Starter(data, ports, environment.of(data, ports), told)
            asyncio.run(starter.start(as_json=given.as_json))
    except KeyturnError as error:
        sys.stderr.write(f"keyturn: {error}\n")
        return exit_status.of(error)
    return Status.DONE


if __name__ == "__main__":
    ended = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Temporal's SDK can abort while the interpreter is taken down.
    os._exit(ended)
