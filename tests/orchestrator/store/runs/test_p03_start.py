"""P3: a run that is just beginning is before a switch or a pause of many, or after it.

On PostgreSQL alone: on SQLite one transaction writes at a time.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.effects import compensation
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import bulk, start
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.runs.bulk import NewBulk
from keyturn.orchestrator.store.runs.errors import NotStarted
from keyturn.orchestrator.store.runs.listing import Filter
from keyturn.orchestrator.store.runs.start import Fitted, NewRun
from keyturn.orchestrator.store.turns.turn import DraftedCall
from tests.databases import patient
from tests.orchestrator.store.desk import Desk, open_desk

INPUT: dict[str, Any] = {"customer_id": "c1", "text": "hello"}
NEW = NewRun(workflow="desk", tenant="default", input=INPUT)
# Far more than what waits for nothing takes.
A_WHILE_S = 0.3


@pytest.fixture
async def desk(postgres_tables: str) -> AsyncIterator[Desk]:
    async with open_desk(postgres_tables) as opened:
        yield opened


async def pause_all(desk: Desk) -> None:
    new = NewBulk(verb="pause", filter=Filter(workflow="desk"), reason="x", by="lea")
    await bulk.begin(desk.store, new)


async def disable(desk: Desk) -> None:
    await desk.switch("disable", workflow="desk")


@pytest.mark.parametrize("hold", [disable, pause_all])
@pytest.mark.parametrize("has_clock", [True, False], ids=["clock", "database-time"])
async def test_p03_what_holds_all_waits_for_a_run_that_is_just_beginning(
    desk: Desk, hold: Any, *, has_clock: bool
) -> None:
    store = desk.store if has_clock else patient(desk.store.url)
    desk.is_honest = has_clock  # the database's time is another than the desk's
    async with store.read() as session:
        name, _ = await releases.live(session, "desk")
    fitted = Fitted(release=name, text=canonical.text(INPUT))

    async with store.write() as session:
        run = (await start.insert(session, NEW, fitted)).id
        holding = asyncio.create_task(hold(desk))
        done, _ = await asyncio.wait([holding], timeout=A_WHILE_S)
        assert not done
    await holding

    if hold is disable:
        with pytest.raises(NotStarted):
            await desk.start()
    while await bulk.work(desk.store):
        pass
    assert (await desk.run(run)).paused_by == (None if hold is disable else "lea")
    if store is not desk.store:
        await store.close()


async def test_p03_asking_for_a_compensation_locks_in_order(desk: Desk) -> None:
    """The barrier, then the run: the other way round it and a switch wait for ever."""
    first = await desk.start()
    await desk.draft(first, PAYMENT)
    key = (await desk.do(first)).key

    async with desk.store.write() as session:
        await session.raise_barrier()
        asking = asyncio.create_task(
            compensation.ask(desk.store, key, by="lou", by_name="Lou", reason="so")
        )
        await asyncio.sleep(A_WHILE_S)
        await run_lookup.lock(session, first)

    _, is_new = await asking
    assert is_new


PAYMENT = DraftedCall(
    index=0,
    tool="pay",
    provider_id="call_1",
    arguments=canonical.text(
        {"order_id": "o1", "amount": {"amount": 50_00, "currency": "USD"}}
    ),
    money=Money(50_00, "USD"),
)
