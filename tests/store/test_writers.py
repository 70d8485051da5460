"""A process writes a few transactions at once: more are done no sooner, and run out."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from orchestrator.errors import StoreUnavailable
from orchestrator.store.engine import Store
from tests.databases import PATIENCE

MANY, WRITERS = 40, 6


async def test_others_wait_before_they_begin(postgres_tables: str):
    store = Store(postgres_tables, transaction_timeout=PATIENCE, writers=WRITERS)
    open_now, most = 0, 0

    async def write() -> None:
        nonlocal open_now, most
        async with store.write() as session:
            open_now += 1
            most = max(most, open_now)
            for _ in range(3):
                await session.execute(text("SELECT pg_sleep(0.01)"))
            open_now -= 1

    await asyncio.gather(*(write() for _ in range(MANY)))
    await store.close()

    assert most == WRITERS


async def test_whoever_waits_too_long_is_told_and_has_changed_nothing(
    postgres_tables: str,
):
    store = Store(
        postgres_tables, transaction_timeout=timedelta(seconds=1), writers=WRITERS
    )
    let_go = asyncio.Event()

    async def hold() -> None:
        async with store.write():
            await let_go.wait()

    holding = [asyncio.create_task(hold()) for _ in range(WRITERS)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="is busy"):
        async with store.write():
            raise AssertionError("it began")
    with pytest.raises(StoreUnavailable, match=r"within 0\.01 s"):
        async with store.write(wait_s=0.01):
            raise AssertionError("it began")
    let_go.set()
    await asyncio.gather(*holding)
    # The turns are free again.
    await asyncio.gather(*(hold() for _ in range(MANY)))
    await store.close()
