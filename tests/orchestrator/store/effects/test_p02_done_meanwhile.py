"""P2: what is done on a subject while another action on it is under way is seen."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from keyturn.orchestrator.store.ledger import repeats
from keyturn.orchestrator.store.ledger.reach import Reach
from tests.databases import both
from tests.orchestrator.store.desk import Desk, note, open_desk
from tests.orchestrator.store.ledger.test_p04_thresholds import (
    ASK,
    NOTES,
    SMALL,
    drafted,
)

pytestmark = both


DONE = "an earlier action on the same subject is done"


@pytest.fixture
async def tiers(tables_url: str) -> AsyncIterator[Desk]:
    """A desk that allows 20 dollars and asks beyond; nothing limits it."""
    async with open_desk(tables_url, rules=(SMALL, ASK, NOTES), limits=()) as desk:
        yield desk


async def test_p02_what_ends_while_another_is_judged_lets_nothing_past(
    tiers: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look of a transaction sees what was committed until then: READ COMMITTED."""
    if tiers.store.is_sqlite:
        pytest.skip("SQLite has one writer at a time: nothing ends in between")
    first, second = [await drafted(tiers, 5_00, customer=f"c{n}") for n in (1, 2)]
    sent = await tiers.send(first)
    looked = repeats.is_repeated

    async def looks_just_before_it_ends(session: Any, touched: Reach) -> bool:
        found = await looked(session, touched)
        await tiers.record(sent, "done")
        return found

    monkeypatch.setattr(repeats, "is_repeated", looks_just_before_it_ends)
    answer = await tiers.lease(second, holder="h2")

    assert answer.kind == "refused"
    assert "Another action on order_id=o1" in str((await tiers.call(second)).result)


@pytest.mark.parametrize("tenant", ["default", "t-2"])
async def test_p02_a_yes_from_before_another_was_done_is_asked_again(
    tiers: Desk, tenant: str
) -> None:
    first = await tiers.approved(customer="c1")
    second = await tiers.approved(customer="c2", tenant=tenant)
    await tiers.do(first)

    answer = await tiers.lease(second, holder="h2")

    asked = await tiers.approval(second, "pending")
    assert answer.kind == "waiting"
    # Whoever of another tenant is asked sees none of its runs: the rule says it.
    assert DONE in asked.rule
    await tiers.decide(second, "bob")
    assert (await tiers.lease(second, holder="h2")).kind == "leased"


async def test_p02_a_yes_holds_for_what_its_own_run_does_beside_it(
    tiers: Desk,
) -> None:
    run = await tiers.approved()
    await tiers.draft(run, note(), turn=2)
    await tiers.do(run, turn=2)

    assert (await tiers.lease(run, holder="h1")).kind == "leased"


async def test_p02_a_yes_given_after_the_other_was_done_stands(tiers: Desk) -> None:
    first = await tiers.approved(customer="c1")
    second = await drafted(tiers, 50_00, customer="c2")
    await tiers.do(first)
    await tiers.decide(second, "bob")

    assert (await tiers.lease(second, holder="h2")).kind == "leased"
