"""Databases with tables: copied from one that was migrated, which takes a fraction."""

import asyncio
import shutil
import zlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Dialect, event
from sqlalchemy.util import LRUCache

from keyturn.orchestrator.rules.clock import Clock
from keyturn.orchestrator.store import migrate
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.row_codes import Voucher
from tests.depth import SEARCHES
from tests.servers import postgres

# What the web process of a test vouches with: `KEYTURN_SECRET_KEY`.
SECRET = "a secret of these tests"  # noqa: S105 of a database of its own
VOUCHER = Voucher(SECRET)
# A machine that runs other tests at the same time may pause for seconds.
PATIENCE = timedelta(seconds=20)


# Of each kind of database, the dialect of the first engine that has met its server, and
# the statements compiled for it.
_DIALECTS: dict[str, Dialect] = {}
_STATEMENTS: LRUCache[Any, Any] = LRUCache(1_000)


def patient(url: str, *, clock: Clock | None = None) -> Store:
    """A store whose transactions outlive a machine's pauses."""
    return warm(Store(url, clock=clock, transaction_timeout=PATIENCE, voucher=VOUCHER))


def warm(store: Store) -> Store:
    """The same store, as if it had been at work for a while in this process.

    What SQLAlchemy compiles it keeps for the dialect object of one engine; to compile
    all statements anew for each test's engine took two fifths of a test's time.
    """
    engine = store.engine.sync_engine
    engine.update_execution_options(compiled_cache=_STATEMENTS)
    known = _DIALECTS.get(engine.name)
    if known is not None:
        engine.dialect = known
        return store

    def has_met_its_server(_: Connection) -> None:
        _DIALECTS.setdefault(engine.name, engine.dialect)

    event.listen(engine, "engine_connect", has_met_its_server)
    return store


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with tables."""
    file = tmp_path_factory.mktemp("template") / "keyturn.sqlite"
    asyncio.run(migrate.upgrade(f"sqlite+aiosqlite:///{file}"))
    return file


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    """The name of a PostgreSQL database with tables, and grants on them."""
    postgres.make_roles(postgres_server)
    with postgres.database(postgres_server) as url:
        asyncio.run(migrate.upgrade(url))
        yield url.rpartition("/")[2]


@pytest.fixture
def sqlite_tables(sqlite_template: Path, tmp_path: Path) -> str:
    """A database file of the test's own, with tables."""
    file = tmp_path / "keyturn.sqlite"
    shutil.copy(sqlite_template, file)
    return f"sqlite+aiosqlite:///{file}"


@pytest.fixture(scope="session")
def postgres_kept(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """This process's database, which its tests use one after the other."""
    with postgres.database(postgres_server, template=postgres_template) as url:
        yield url


@pytest.fixture
def postgres_tables(postgres_kept: str) -> Iterator[str]:
    """A database of the test's own, with tables."""
    yield postgres_kept
    postgres.empty(postgres_kept)


DATABASES = ("sqlite", "postgres")
# What a store's test is about: transactions that meet, types, plans. Each of these runs
# on both databases; any other takes one of the two, by its name, for time's sake. With
# KEYTURN_SEARCH=1 all take both.
both = pytest.mark.both_databases


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the databases of a test that takes one."""
    if "database" not in metafunc.fixturenames:
        return
    marked = metafunc.definition.get_closest_marker(both.name) is not None
    takes_both = marked or SEARCHES
    metafunc.parametrize("database", DATABASES if takes_both else ["either"])


@pytest.fixture
def tables_url(request: pytest.FixtureRequest, database: str) -> str:
    """A database with tables, of the kind that the test takes."""
    if database not in DATABASES:
        name = request.node.nodeid.encode()
        database = DATABASES[zlib.crc32(name) % len(DATABASES)]
    return str(request.getfixturevalue(f"{database}_tables"))
