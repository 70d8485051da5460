"""Connections to PostgreSQL that ended while nobody used them are replaced unseen."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import psycopg
import pytest
from psycopg import OperationalError
from sqlalchemy import text

from keyturn.orchestrator.store.db import postgres
from keyturn.orchestrator.store.db.database import Store

LEAVE_MS = 10_000


@pytest.fixture
async def store(postgres_tables: str) -> AsyncIterator[Store]:
    opened = Store(postgres_tables)
    yield opened
    await opened.close()


@pytest.fixture
def asked(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The connections that were asked before their use."""
    dialect: Any = store.engine.dialect
    seen: list[object] = []
    ask = dialect.do_ping

    def do_ping(connection: object) -> bool:
        seen.append(connection)
        return bool(ask(connection))

    monkeypatch.setattr(dialect, "do_ping", do_ping)
    return seen


async def backend(store: Store) -> int:
    async with store.read() as session:
        return int(
            (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        )


def end_all(url: str) -> None:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, %s) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
            (LEAVE_MS,),
        )


async def test_those_that_the_server_ended_are_replaced(
    store: Store, postgres_tables: str
):
    async with AsyncExitStack() as stack:
        for _ in range(5):
            session = await stack.enter_async_context(store.read())
            await session.execute(text("SELECT 1"))
    end_all(postgres_tables)

    found = [await backend(store) for _ in range(5)]

    assert len(found) == 5


async def test_nothing_is_asked_of_one_that_is_used_often(
    store: Store, asked: list[object]
):
    first = await backend(store)

    assert [await backend(store) for _ in range(3)] == [first] * 3
    assert asked == []


async def test_one_that_lay_unused_for_long_is_asked(
    store: Store, asked: list[object], monkeypatch: pytest.MonkeyPatch
):
    first = await backend(store)
    monkeypatch.setattr(postgres, "UNUSED_S", 0.0)

    assert await backend(store) == first
    assert len(asked) == 1


async def test_one_whose_server_no_longer_answers_is_replaced(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    first = await backend(store)
    monkeypatch.setattr(postgres, "UNUSED_S", 0.0)

    def do_ping(_: object) -> bool:
        raise OperationalError("could not receive data: Connection timed out")

    monkeypatch.setattr(store.engine.dialect, "do_ping", do_ping)

    assert await backend(store) != first
