"""A migrated database is the one that the tables describe, on both databases."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlmodel import SQLModel

from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.store import migrate, revision, tables
from keyturn.orchestrator.store.db.database import Store
from tests.databases import both

pytestmark = both


IN_SQLITE = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2"
IN_POSTGRES = (
    "SELECT table_name, column_name, data_type, is_nullable, column_default,"
    " character_maximum_length FROM information_schema.columns"
    " WHERE table_schema = 'public' ORDER BY 1, 2",
    "SELECT tablename, indexname, indexdef FROM pg_indexes"
    " WHERE schemaname = 'public' ORDER BY 1, 2",
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)"
    " FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
    # A trigger of the roles' is no part of the tables.
    " AND contype <> 't' ORDER BY 1, 2",
)
PROCESSES = 4


async def test_migrated_sqlite_is_what_the_tables_say(tmp_path: Path) -> None:
    migrated = f"sqlite+aiosqlite:///{tmp_path / 'migrated.sqlite'}"
    created = f"sqlite+aiosqlite:///{tmp_path / 'created.sqlite'}"

    await migrate.upgrade(migrated)
    await _create(created)

    assert await _sqlite_schema(migrated) == await _sqlite_schema(created)


async def test_migrated_postgres_is_what_the_tables_say(postgres_url: str) -> None:
    await migrate.upgrade(postgres_url)
    migrated = await _postgres_schema(postgres_url)
    await _drop(postgres_url)
    await _create(postgres_url)

    assert migrated == await _postgres_schema(postgres_url)


async def test_check_says_what_to_do_and_then_nothing(database_url: str) -> None:
    before = await revision.check(database_url)
    await migrate.upgrade(database_url)

    assert before == "The database has no schema yet: run `keyturn db upgrade`."
    assert await revision.check(database_url) is None


def test_the_newest_revision_is_the_head_of_the_history() -> None:
    head = ScriptDirectory.from_config(migrate.config()).get_current_head()

    assert revision.newest() == head


async def test_check_of_a_missing_file_creates_none(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "keyturn.sqlite"

    assert await revision.check(f"sqlite+aiosqlite:///{file}") is not None
    assert not file.parent.exists()


async def test_check_names_a_revision_of_a_later_version(database_url: str) -> None:
    await migrate.upgrade(database_url)
    await _execute(database_url, "UPDATE alembic_version SET version_num = '9999'")

    words = await revision.check(database_url)

    assert words is not None
    assert words.startswith("The database is at revision 9999, which this version")


async def test_second_upgrade_keeps_what_is_there(database_url: str) -> None:
    await migrate.upgrade(database_url)
    await _execute(
        database_url,
        "INSERT INTO meters VALUES ('kept', 0, 0, 0, 0, NULL, NULL, NULL)",
    )

    await migrate.upgrade(database_url)

    assert await _rows(database_url, "SELECT scope FROM meters") == [("kept",)]


def test_processes_that_upgrade_at_once_all_succeed(database_url: str) -> None:
    words = "import asyncio, sys; from keyturn.orchestrator.store import migrate; "
    program = f"{words}asyncio.run(migrate.upgrade(sys.argv[1]))"
    command = [sys.executable, "-c", program, database_url]

    running = [
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    said = [process.communicate(timeout=50)[1] for process in running]

    assert [process.returncode for process in running] == [0] * PROCESSES, said


async def test_upgrade_that_fails_leaves_nothing_behind(database_url: str) -> None:
    # A table of ours is in the way: half of the others come before it.
    await _execute(database_url, "CREATE TABLE outbox (mine integer)")

    with pytest.raises((StoreUnavailable, ProgrammingError), match="outbox"):
        await migrate.upgrade(database_url)

    assert await _tables(database_url) == ["outbox"]


async def test_database_that_is_away_is_named(tmp_path: Path) -> None:
    away = f"postgresql+psycopg://nobody@127.0.0.1:1/{tmp_path.name}"

    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1"):
        await migrate.upgrade(away)


async def _create(url: str) -> None:
    assert tables.RunRow.metadata is SQLModel.metadata
    store = Store(url)
    async with store.engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    await store.close()


async def _drop(url: str) -> None:
    for statement in ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public"):
        await _execute(url, statement)


async def _sqlite_schema(url: str) -> dict[str, list[str]]:
    rows = await _rows(url, IN_SQLITE)
    return {
        f"{kind} {name}": _lines(sql)
        for kind, name, _, sql in rows
        if "alembic" not in name
    }


async def _postgres_schema(url: str) -> list[Sequence[object]]:
    found = [row for query in IN_POSTGRES for row in await _rows(url, query)]
    return [row for row in found if row[0] != "alembic_version"]


async def _tables(url: str) -> list[str]:
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'table'"
        if url.startswith("sqlite")
        else "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    )
    return [row[0] for row in await _rows(url, query)]


def _lines(sql: str | None) -> list[str]:
    """The parts of a statement, whatever their order: a table's constraints have none."""
    # A column that was added later stands behind the last one, in its line.
    parts = re.split(r",\s*(?![^()]*\))|\n", sql or "")
    return sorted(part.strip(" ,\t") for part in parts if part.strip(" ,\t"))


async def _rows(url: str, query: str) -> list[tuple[str, ...]]:
    store = Store(url)
    async with store.read() as session:
        rows = (await session.execute(text(query))).all()
    await store.close()
    return [tuple(row) for row in rows]


async def _execute(url: str, statement: str) -> None:
    store = Store(url)
    async with store.write() as session:
        await session.execute(text(statement))
    await store.close()
