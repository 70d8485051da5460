"""A desk on each database, copied from one with tables alone: that takes a fraction."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.servers import postgres
from tests.store.accounts import Accounts, open_accounts
from tests.store.desk import Desk, create_tables, open_desk


@pytest.fixture(scope="session")
async def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with tables."""
    file = tmp_path_factory.mktemp("template") / "keyturn.sqlite"
    await create_tables(f"sqlite+aiosqlite:///{file}")
    return file


@pytest.fixture(scope="session")
async def postgres_template(postgres_server: str) -> AsyncIterator[str]:
    """The name of a PostgreSQL database with tables."""
    with postgres.database(postgres_server) as url:
        await create_tables(url)
        yield url.rpartition("/")[2]


@pytest.fixture
def sqlite_tables(sqlite_template: Path, tmp_path: Path) -> str:
    """A database file of the test's own, with tables."""
    file = tmp_path / "keyturn.sqlite"
    shutil.copy(sqlite_template, file)
    return f"sqlite+aiosqlite:///{file}"


@pytest.fixture
def postgres_tables(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """A database of the test's own, with tables."""
    with postgres.database(postgres_server, template=postgres_template) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def tables_url(request: pytest.FixtureRequest) -> str:
    """A database with tables, once on SQLite and once on PostgreSQL."""
    return str(request.getfixturevalue(f"{request.param}_tables"))


@pytest.fixture
async def desk(tables_url: str) -> AsyncIterator[Desk]:
    """The record of a desk, once on SQLite and once on PostgreSQL."""
    async with open_desk(tables_url) as opened:
        yield opened


@pytest.fixture
async def accounts(tables_url: str) -> AsyncIterator[Accounts]:
    """An empty record whose clock the test sets, once on each database."""
    async with open_accounts(tables_url) as opened:
        yield opened
