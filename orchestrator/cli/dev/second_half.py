"""The second half of a start: the store, its people, and the wait for readiness."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx2

from keyturn.orchestrator.cli.dev import (
    announcement,
    environment,
    feed,
    people,
    programs,
    readiness,
)
from keyturn.orchestrator.cli.dev.child import Program
from keyturn.orchestrator.cli.dev.data import Data
from keyturn.orchestrator.cli.dev.environment import Environment
from keyturn.orchestrator.cli.dev.people import SignIn
from keyturn.orchestrator.cli.dev.ports import Ports
from keyturn.orchestrator.rules.authority.binding import Signer
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store import migrate
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.row_codes import Voucher
from keyturn.orchestrator.store.migrate import Keys

START_S = 120.0


@dataclass(frozen=True)
class Opening:
    """Its inputs: the folder, the ports, and the function that starts programs."""

    data: Data
    ports: Ports
    environment: Environment
    begin: Callable[[Sequence[Program]], None]

    async def run(self, *, as_json: bool) -> None:
        """Have our own processes started; return when all is ready and announced."""
        url = environment.database_url(self.data)
        secrets = self.environment.secrets
        keys = Keys(Voucher(secrets.secret_key), Signer(secrets.decision_key))
        await migrate.upgrade(url, keys)
        self.begin(programs.keyturn(self.data, self.environment))
        # During this time the processes load their modules.
        everyone = await self._people(url, keys)
        # One client for all: each new one loads the authorities' certificates; with
        # frequent probes that took a third of a core from the starting processes.
        async with httpx2.AsyncClient() as client:
            await self._await_ready(client)
            if self.environment.has_support_desk:
                help_desk = people.of_role(everyone, people.SERVICE)
                await feed.feed(client, self.ports.url("web"), help_desk.token)
        self._announce(everyone, as_json=as_json)

    async def _people(self, url: str, keys: Keys) -> list[SignIn]:
        store = Store(url, voucher=keys.voucher)
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
            readiness.wait(
                "A release of the applications",
                readiness.released(environment.database_url(self.data)),
                within_s=START_S,
            ),
        )

    def _announce(self, everyone: list[SignIn], *, as_json: bool) -> None:
        if as_json:
            announcement.as_line(self.ports, everyone)
        else:
            announcement.as_table(
                self.ports, everyone, is_scripted=self.environment.is_scripted
            )
