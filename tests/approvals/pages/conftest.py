"""A day's work in a store, and browsers without a window: one for each role."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store import migrate
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import sessions
from tests.approvals.pages.seed import Seed, plant
from tests.databases import patient


def url_of(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Seed]:
    """A file with a day's work, made once; tests work on copies."""
    path = tmp_path_factory.mktemp("pages") / "seed.sqlite"
    return path, asyncio.run(_plant(path))


async def _plant(path: Path) -> Seed:
    await migrate.upgrade(url_of(path))
    store = patient(url_of(path))
    try:
        return await plant(store)
    finally:
        await store.close()


@pytest.fixture
def seed(planted: tuple[Path, Seed]) -> Seed:
    return planted[1]


@pytest.fixture
async def store(planted: tuple[Path, Seed], tmp_path: Path) -> AsyncIterator[Store]:
    copy = tmp_path / "pages.sqlite"
    shutil.copyfile(planted[0], copy)
    store = patient(url_of(copy))
    yield store
    await store.close()


@pytest.fixture
def app(store: Store) -> FastAPI:
    settings = Settings(scripted=True, temporal_ui="http://temporal.test:8233")
    return create_app(settings, store, None, Signer(new_key()))


@dataclass
class Visitor:
    """Somebody who is signed in; posts carry the page's token as a form does."""

    client: httpx2.AsyncClient
    csrf: str

    async def get(self, path: str) -> httpx2.Response:
        return await self.client.get(path)

    async def post(self, path: str, **fields: str | list[str]) -> httpx2.Response:
        return await self.client.post(path, data={"csrf": self.csrf, **fields})

    async def send(self, path: str, **fields: str | list[str]) -> httpx2.Response:
        """Post, and go on to where that leads, as a browser does."""
        answer = await self.post(path, **fields)
        assert answer.status_code == 303, answer.text
        return await self.get(answer.headers["location"])

    async def edit(self, approval: str, binding: str, **fields: str) -> httpx2.Response:
        """Send an edit as the page does: what it changes was shown first."""
        shown = (await self.post(f"/inbox/{approval}/draft", **fields)).text
        previewed = shown.split('name="previewed" value="', 1)[1].split('"', 1)[0]
        return await self.post(
            f"/inbox/{approval}/edit", binding=binding, previewed=previewed, **fields
        )

    async def binding(self, approval: str) -> str:
        """What the item's page serves."""
        page = (await self.get(f"/inbox/{approval}")).text
        return page.split('name="binding" value="', 1)[1].split('"', 1)[0]


@dataclass
class Doors:
    """Lets people in, without their passwords."""

    app: FastAPI
    store: Store
    seed: Seed
    clients: list[httpx2.AsyncClient]

    async def visit(self, who: str) -> Visitor:
        opened = await sessions.begin(
            self.store, self.seed.people[who], instead_of=None
        )
        client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self.app),
            base_url="http://keyturn.test",
            cookies={"keyturn": opened.cookie},
            headers={"Accept": "text/html", "Origin": "http://keyturn.test"},
        )
        self.clients.append(client)
        return Visitor(client, opened.row.csrf)


@pytest.fixture
async def doors(app: FastAPI, store: Store, seed: Seed) -> AsyncIterator[Doors]:
    doors = Doors(app, store, seed, [])
    yield doors
    for client in doors.clients:
        await client.aclose()
