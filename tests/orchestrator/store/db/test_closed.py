"""A store that is closed leaves nothing open, whoever was still at work."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import cast

import pytest
from sqlalchemy import QueuePool, event

from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.store.db.database import Store
from tests.databases import both

pytestmark = both


# The database ends a transaction that takes longer, even one that opens a connection.
TIMEOUT = timedelta(seconds=2)


@contextmanager
def closings(store: Store) -> Generator[list[object]]:
    """What the pool closes meanwhile."""
    closed: list[object] = []

    def note(connection: object, _: object) -> None:
        closed.append(connection)

    event.listen(store.engine.sync_engine, "close", note)
    yield closed


async def test_what_comes_back_to_a_closed_store_is_closed(tables_url: str):
    store = Store(tables_url, transaction_timeout=TIMEOUT)
    with closings(store) as closed:
        async with store.read() as session:
            connection = await session.connection()
            raw = await connection.get_raw_connection()
            held: object = raw.dbapi_connection
            await store.close()
            assert held not in closed

    assert held in closed


async def test_what_begins_after_the_end_is_refused(tables_url: str):
    store = Store(tables_url, transaction_timeout=TIMEOUT)
    await store.close()

    for begin in (store.read, store.write):
        with pytest.raises(StoreUnavailable, match="this process is ending"):
            async with begin():
                raise AssertionError("a transaction that nobody will end")
    assert cast("QueuePool", store.engine.pool).checkedout() == 0
