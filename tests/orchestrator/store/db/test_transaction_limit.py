"""A process has a few transactions at once: more are done no sooner, and run out."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text

from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction_limit import LEAST, SLOW_S, TurnsAtOnce
from tests.databases import PATIENCE

MANY, MOST = 40, 6
LONG_S = 60.0


@asynccontextmanager
async def bounded(address: str, lasts: timedelta) -> AsyncGenerator[Store]:
    store = Store(address, transaction_timeout=lasts, at_once=MOST)
    yield store
    await store.close()


async def test_others_wait_before_they_begin(postgres_tables: str):
    open_now, most = 0, 0

    async def use(store: Store, number: int) -> None:
        nonlocal open_now, most
        async with store.write() if number % 2 else store.read() as session:
            open_now += 1
            most = max(most, open_now)
            for _ in range(3):
                await session.execute(text("SELECT pg_sleep(0.01)"))
            open_now -= 1

    async with bounded(postgres_tables, PATIENCE) as store:
        await asyncio.gather(*(use(store, number) for number in range(MANY)))

    assert 1 < most <= MOST


async def test_whoever_waits_too_long_is_told_and_has_changed_nothing(
    postgres_tables: str,
):
    let_go = asyncio.Event()

    async def hold(store: Store) -> None:
        async with store.write():
            await let_go.wait()

    async with bounded(postgres_tables, timedelta(seconds=1)) as store:
        holding = [asyncio.create_task(hold(store)) for _ in range(MOST)]
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable, match=r"no turn within 0\.01 s"):
            async with store.write(wait_s=0.01):
                raise AssertionError("it began")
        let_go.set()
        await asyncio.gather(*holding)
        # The turns are free again.
        await asyncio.gather(*(hold(store) for _ in range(MANY)))


async def test_whoever_has_a_turn_needs_no_second_one(postgres_tables: str):
    async def use(store: Store) -> None:
        async with store.write(), store.read() as session:
            await session.execute(text("SELECT 1"))

    async with bounded(postgres_tables, PATIENCE) as store:
        await asyncio.gather(*(use(store) for _ in range(MOST)))


async def test_a_task_that_is_begun_within_a_turn_waits_for_its_own():
    turns, order = TurnsAtOnce(1), list[str]()

    async def use() -> None:
        async with turns.turn(first=False, within_s=LONG_S):
            order.append("its own")

    async with turns.turn(first=False, within_s=LONG_S):
        begun = asyncio.create_task(use())
        await asyncio.sleep(0.01)
        order.append("the first")
    await begun

    assert order == ["the first", "its own"]


async def test_a_turn_that_another_task_closes_is_given_back():
    turns = TurnsAtOnce(1)

    async def hold() -> AsyncGenerator[None]:
        async with turns.turn(first=False, within_s=LONG_S):
            yield

    left = hold()
    await asyncio.create_task(anext(left))  # pyright: ignore[reportArgumentType] a coroutine
    await left.aclose()

    async with turns.turn(first=False, within_s=0.01):
        pass


async def test_what_ends_something_goes_first():
    turns, order = TurnsAtOnce(1), list[int]()

    async def use(number: int, *, first: bool) -> None:
        async with turns.turn(first=first, within_s=LONG_S):
            order.append(number)

    gate = asyncio.Event()

    async def hold() -> None:
        async with turns.turn(first=False, within_s=LONG_S):
            await gate.wait()

    tasks = [asyncio.create_task(hold())]
    await asyncio.sleep(0)
    for number in range(5):
        tasks.append(asyncio.create_task(use(number, first=number in (2, 3))))
        await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*tasks)

    assert order == [2, 3, 0, 1, 4]


async def test_whoever_gives_up_waiting_takes_no_turn_along():
    turns = TurnsAtOnce(1)
    gate = asyncio.Event()

    async def hold(*, within_s: float = LONG_S) -> None:
        async with turns.turn(first=False, within_s=within_s):
            await gate.wait()

    first = asyncio.create_task(hold())
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(hold()) for _ in range(3)]
    await asyncio.sleep(0)
    for one in waiting[:2]:
        one.cancel()
    with pytest.raises(TimeoutError):
        await hold(within_s=0.01)
    gate.set()
    # Cancelled in the very moment in which it is given the turn.
    await first
    waiting[2].cancel()
    await asyncio.wait(waiting)

    async with asyncio.timeout(LONG_S):
        await hold()


async def test_slow_ones_lower_the_bound_and_quick_ones_raise_it(
    monkeypatch: pytest.MonkeyPatch,
):
    turns, loop = TurnsAtOnce(MOST), asyncio.get_running_loop()
    now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now)

    async def use(*, takes_s: float, beside: int) -> None:
        nonlocal now

        async def one() -> None:
            async with turns.turn(first=False, within_s=LONG_S):
                await asyncio.sleep(0)

        tasks = [asyncio.create_task(one()) for _ in range(beside)]
        await asyncio.sleep(0)
        now += takes_s
        await asyncio.gather(*tasks)

    # Six that stand beside each other are one sign, not six.
    await use(takes_s=2 * SLOW_S, beside=MOST)
    assert turns.bound == MOST - 2
    for _ in range(MANY):
        await use(takes_s=2 * SLOW_S, beside=1)
    assert turns.bound == LEAST
    for _ in range(MANY):
        await use(takes_s=SLOW_S / 10, beside=1)
    assert turns.bound == MOST
