"""Fixtures that hand out the servers; loaded by tests/conftest.py."""

import os
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import pytest
from playwright.async_api import Browser, Page, async_playwright
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from tests.servers import chromium, postgres, temporal
from tests.servers.launch import ServerUnavailable
from tests.servers.own import Own
from tests.servers.shared import Run, Shared

SHARED = pytest.StashKey[Shared]()
RUN = pytest.StashKey[Run]()
FOLDER = "keyturn_servers"
BROWSER_TIMEOUT_MS = 10_000


def pytest_configure(config: pytest.Config) -> None:
    """The controller opens the run; an xdist worker joins it."""
    joined = getattr(config, "workerinput", None)
    if joined is not None:
        config.stash[SHARED] = Shared(Path(joined[FOLDER]))
        return
    config.stash[RUN] = Run()
    config.stash[SHARED] = config.stash[RUN].shared


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tells a new xdist worker where the run's servers are."""
    node.workerinput[FOLDER] = str(node.config.stash[SHARED].folder)  # type: ignore[attr-defined]  # xdist has no types


def pytest_unconfigure(config: pytest.Config) -> None:
    """The controller ends the run's servers, after the last worker has gone."""
    if RUN in config.stash:
        config.stash[RUN].end()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Every async test runs on asyncio, as the product does."""
    return "asyncio"


@pytest.fixture(scope="session")
def shared_servers(pytestconfig: pytest.Config) -> Shared:
    return pytestconfig.stash[SHARED]


@pytest.fixture(scope="session")
def temporal_address(shared_servers: Shared) -> str:
    """The shared dev server. Use a task queue and workflow ids of your own."""
    with needed():
        return shared_servers.address("temporal", temporal.dev_server)


@pytest.fixture
async def temporal_client(temporal_address: str) -> Client:
    return await Client.connect(
        temporal_address, data_converter=pydantic_data_converter
    )


@pytest.fixture
def task_queue() -> str:
    """A task queue that no other test uses."""
    return f"test-{uuid4().hex}"


@pytest.fixture
async def time_skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A time-skipping server of the test's own: its time is one for the whole server."""
    with needed():
        path = str(temporal.program("temporal-test-server"))
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=path, data_converter=pydantic_data_converter
    ) as environment:
        yield environment


@pytest.fixture
def own_temporal(tmp_path: Path) -> Iterator[Own]:
    """A running dev server to stop, kill, freeze and start again; `address`: host:port."""
    data = tmp_path / "temporal"
    data.mkdir()
    started = temporal.dev_server(data)
    with _running(Own(started.program, started.address)) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(shared_servers: Shared) -> str:
    """The shared server's URL up to the database's name."""
    with needed():
        return shared_servers.address("postgres", postgres.server)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """An empty database of the test's own, as SQLAlchemy URL (psycopg)."""
    with postgres.database(postgres_server) as url:
        yield url


@pytest.fixture
def own_postgres() -> Iterator[Own]:
    """A running server to stop, kill, freeze and start again.

    `address` is the SQLAlchemy URL of its database `postgres`.
    """
    with needed(), postgres.private_folder() as data:
        started = postgres.server(data)
        address = postgres.sqlalchemy_url(started.address, "postgres")
        with _running(Own(started.program, address)) as server:
            yield server


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A database file that does not exist yet, as SQLAlchemy URL (aiosqlite)."""
    return f"sqlite+aiosqlite:///{tmp_path / 'keyturn.sqlite'}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database, once on SQLite and once on PostgreSQL."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A headless Chromium, one for each test process."""
    async with async_playwright() as playwright:
        with needed():
            path = chromium.installed(playwright.chromium.executable_path)
        running = await playwright.chromium.launch(
            executable_path=path, args=list(chromium.ARGUMENTS)
        )
        yield running
        await running.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page in a profile of its own; a script's uncaught error fails the test."""
    errors: list[str] = []
    context = await browser.new_context()
    context.set_default_timeout(BROWSER_TIMEOUT_MS)
    page = await context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    await context.close()
    assert errors == [], "uncaught errors in the page"


@contextmanager
def _running(server: Own) -> Generator[Own]:
    with needed():
        server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def needed() -> Generator[None]:
    """Where a server is missing: in CI a failure, elsewhere a skip that says what to do."""
    try:
        yield
    except ServerUnavailable as error:
        _without(str(error))


def _without(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
