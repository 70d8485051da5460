"""What two processes or two tabs write for the first time at the same moment."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pytest

from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.contract import registry
from keyturn.orchestrator.rules.contract import release as releasing
from keyturn.orchestrator.store.approvals import edit_drafts, read_receipts
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.tables import ApprovalRow, DraftRow, OpeningRow
from tests.databases import both, patient
from tests.orchestrator.store.desk import Desk, person, refund

pytestmark = both


TIMES = 8
Written = TypeVar("Written")


@pytest.fixture
async def stores(tables_url: str) -> AsyncIterator[list[Store]]:
    """Stores of as many processes on one database."""
    opened = [patient(tables_url) for _ in range(TIMES)]
    for one in opened:
        # Connected already, they meet at the row and not one after the other.
        async with one.read() as session:
            await session.read_clock()
    yield opened
    await asyncio.gather(*(one.close() for one in opened))


async def at_once(write: Callable[[int], Awaitable[Written]]) -> list[Written]:
    return await asyncio.gather(*(write(number) for number in range(TIMES)))


async def test_workers_that_start_at_once_store_a_release_once(
    stores: list[Store],
) -> None:
    loaded = registry.load(("tests.apps.desk",))
    release = releasing.of(loaded.contracts["desk"], loaded.tools, loaded.aliases)

    names = await at_once(
        lambda number: releases.publish(
            stores[number], release, code_version="1", signer=Signer(new_key())
        )
    )

    async with stores[0].read() as session:
        stored = await releases.history(session, workflow="desk")
    assert set(names) == {release.hash()}
    assert [row.hash for row in stored] == [release.hash()]


async def test_two_tabs_that_keep_a_draft_at_once_keep_one(desk: Desk) -> None:
    waiting = await asked(desk)

    await at_once(
        lambda number: edit_drafts.save(
            desk.store,
            waiting.id,
            person="amy",
            tenant=None,
            form={"note": [str(number)]},
        )
    )

    (kept,) = await desk.rows(DraftRow)
    assert kept.form["note"][0] in {str(number) for number in range(TIMES)}


async def test_two_tabs_that_open_an_item_at_once_open_it(desk: Desk) -> None:
    waiting = await asked(desk)
    binding = waiting.binding or ""

    await at_once(
        lambda _: read_receipts.record(desk.store, person("amy"), waiting.id, binding)
    )

    (opened,) = await desk.rows(OpeningRow)
    assert (opened.approval, opened.binding) == (waiting.id, binding)


async def asked(desk: Desk) -> ApprovalRow:
    """An approval that waits, with what it shows."""
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.lease(run)
    return await desk.approval(run, "pending")
