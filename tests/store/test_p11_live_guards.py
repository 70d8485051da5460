"""P11: a run pinned to a release without subject or money has the live one's guards."""

import pytest

from orchestrator.policy import Rule
from orchestrator.store.tables import EffectRow
from tests.store.desk import Desk, refund
from tests.store.test_p02_edits_repeat import without

ALLOW = Rule("refund", verdict="allow")


async def unguarded(desk: Desk, lacks: str, cents: int = 50_00) -> str:
    """Draft under a release without a guard, then let one with it go live."""
    guarded = desk.release
    await desk.go_live(tools=without(guarded.tools, "refund", lacks), rules=(ALLOW,))
    run = await desk.start()
    await desk.draft(run, refund(cents))
    await desk.go_live(tools=guarded.tools, rules=(ALLOW,))
    return run


async def test_p11_a_subject_that_the_live_release_names_is_guarded(desk: Desk) -> None:
    run = await unguarded(desk, "subject")
    other = await desk.start(customer="c2")
    await desk.draft(other, refund())
    await desk.do(other)

    answer = await desk.lease(run, holder="h2")

    assert answer.kind == "waiting"
    assert (await desk.approval(run)).subject == "order_id=o1"


async def test_p11_one_open_effect_a_subject_holds_for_it(desk: Desk) -> None:
    run = await unguarded(desk, "subject")
    other = await desk.start(customer="c2")
    await desk.draft(other, refund())
    await desk.send(other)

    assert (await desk.lease(run, holder="h2")).kind == "refused"


@pytest.mark.parametrize(("cents", "kind"), [(999_00, "leased"), (1_001_00, "refused")])
async def test_p11_money_that_the_live_release_names_is_limited(
    desk: Desk, cents: int, kind: str
) -> None:
    run = await unguarded(desk, "money", cents)

    answer = await desk.lease(run, money=None)

    assert answer.kind == kind
    found = [one.amount for one in await desk.rows(EffectRow)]
    assert found == ([cents] if kind == "leased" else [])
