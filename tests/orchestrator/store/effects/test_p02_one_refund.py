"""P2: one loss, one refund, however often it is asked for."""

import asyncio
from typing import Any

import pytest

from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.store.tables import EffectRow, RunRow
from tests.databases import both
from tests.orchestrator.store.desk import Desk, open_desk, refund

pytestmark = both


TICKET = {"source": "shop", "external_id": "T-1"}


async def test_p02_a_replayed_webhook_starts_one_run_and_one_refund(
    desk: Desk,
) -> None:
    first = await desk.start(**TICKET)
    await desk.draft(first, refund(5_00))
    await desk.do(first)

    replayed = await asyncio.gather(*(desk.again(**TICKET) for _ in range(8)))

    assert set(replayed) == {first}
    assert len(await desk.rows(RunRow)) == 1
    assert (await desk.lease(first, holder="h2")).kind == "done"
    assert await sent(desk) == 1


@pytest.mark.parametrize("state", ["leased", "sending", "unknown"])
async def test_p02_a_duplicate_ticket_waits_for_no_refund_under_way(
    desk: Desk, state: str
) -> None:
    first, second = [await ticket(desk, f"T-{n}") for n in range(2)]
    await bring(desk, first, state)

    answer = await desk.lease(second, holder="h2")

    assert (answer.kind, answer.grant) == ("refused", None)
    assert "Another action on order_id=o1" in str((await desk.call(second)).result)
    assert await sent(desk) == 1


async def test_p02_a_duplicate_ticket_after_a_refund_asks_and_shows_it(
    desk: Desk,
) -> None:
    first, second = [await ticket(desk, f"T-{n}") for n in range(2)]
    await desk.do(first)

    answer = await desk.lease(second, holder="h2")

    asked = await desk.approval(second, "pending")
    assert answer.kind == "waiting"
    assert asked.rule == "an earlier action on the same subject is done"
    await desk.answer(asked, "reject", "bob")
    assert (await desk.lease(second, holder="h2")).kind == "rejected"
    assert await sent(desk) == 1


@pytest.mark.parametrize("when", ["drafted before", "drafted after"])
async def test_p02_a_redraft_after_unknown_is_refused(desk: Desk, when: str) -> None:
    run = await desk.start()
    await desk.draft(run, refund(5_00))
    if when == "drafted before":
        await desk.draft(run, refund(5_00), turn=2)
    await bring(desk, run, "unknown")
    if when == "drafted after":
        await desk.draft(run, refund(5_00), turn=2)

    answer = await desk.lease(run, turn=2, holder="h2")

    assert answer.kind == "refused"
    assert await sent(desk) == 1


async def test_p02_a_redraft_that_people_approved_does_not_pass_an_unknown_one(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund(50_00))
    await desk.decide(run)
    await bring(desk, run, "unknown")
    await desk.draft(run, refund(50_00), turn=2)
    await desk.decide(run, "bob")

    answer = await desk.lease(run, turn=2, holder="h2")

    assert answer.kind == "refused"
    assert await sent(desk) == 1


async def test_p02_two_runs_for_one_order_at_once_get_one_refund(desk: Desk) -> None:
    found = [await ticket(desk, f"T-{n}") for n in range(6)]

    answers = await asyncio.gather(*(desk.lease(run, holder=run) for run in found))

    kinds = [one.kind for one in answers]
    assert kinds.count("leased") == 1
    assert set(kinds) <= {"leased", "refused", "busy", "waiting"}
    assert await sent(desk) == 1


async def test_p02_two_runs_that_people_approved_at_once_get_one_refund(
    desk: Desk,
) -> None:
    found = [await desk.approved(customer=f"c{n}") for n in range(4)]

    answers = await asyncio.gather(*(desk.lease(run, holder=run) for run in found))

    assert [one.kind for one in answers].count("leased") == 1
    assert await sent(desk) == 1


async def test_p04_fifty_refunds_at_once_are_one_big_one(tables_url: str) -> None:
    rules = (
        Rule("refund", up_to=Money(20_00, "USD"), verdict="allow"),
        Rule("refund", up_to=Money(100_00, "USD"), approvers=1),
    )
    async with open_desk(tables_url, rules=rules, limits=()) as desk:
        found = [await ticket(desk, f"T-{n}", order=f"o{n}") for n in range(50)]

        answers = await asyncio.gather(*(desk.lease(r, holder=r) for r in found))

        kinds = [one.kind for one in answers]
        assert (kinds.count("leased"), kinds.count("waiting")) == (4, 46)


async def ticket(desk: Desk, name: str, *, order: str = "o1", **more: Any) -> str:
    """Start a run for a ticket of its own, that drafts a small refund."""
    run = await desk.start(source="shop", external_id=name, **more)
    await desk.draft(run, refund(5_00, order=order))
    return run


async def bring(desk: Desk, run: str, state: str) -> None:
    """Bring the run's refund into a state."""
    grant = await desk.granted(run)
    if state != "leased":
        assert (await desk.begin(grant)).may_send
    if state == "unknown":
        await desk.record(grant, state)


async def sent(desk: Desk) -> int:
    """Return how many effects may have moved money."""
    found = await desk.rows(EffectRow)
    return sum(one.status in ("leased", "sending", "unknown", "done") for one in found)
