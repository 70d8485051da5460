"""P11: no release loses a guard or a history in silence; pinned runs have the live ones."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.releases.errors import GuardLost, HistoryLost
from keyturn.orchestrator.store.tables import EffectRow
from tests.orchestrator.store.desk import Desk, open_desk, refund, unchanged
from tests.orchestrator.store.ledger.test_p02_edits_repeat import without

ALLOW = Rule("refund", verdict="allow")


@asynccontextmanager
async def unguarded(
    url: str, lacks: str, cents: int = 50_00
) -> AsyncGenerator[tuple[Desk, str]]:
    """Open a desk with a run of a release that lacks a guard which the live one has."""
    tools = without(unchanged().tools, "refund", lacks)
    async with open_desk(url, tools=tools, rules=(ALLOW,)) as desk:
        run = await desk.start()
        known = {} if lacks != "money" else {"money": None}
        await desk.draft(run, refund(cents).model_copy(update=known))
        await desk.go_live(tools=unchanged().tools)
        yield desk, run


async def test_p11_a_subject_that_the_live_release_names_is_guarded(
    tables_url: str,
) -> None:
    async with unguarded(tables_url, "subject") as (desk, run):
        other = await desk.start(customer="c2")
        await desk.draft(other, refund())
        await desk.do(other)

        answer = await desk.lease(run, holder="h2")

        assert answer.kind == "waiting"
        assert (await desk.approval(run)).subject == "order_id=o1"


async def test_p11_one_open_effect_a_subject_holds_for_it(tables_url: str) -> None:
    async with unguarded(tables_url, "subject") as (desk, run):
        other = await desk.start(customer="c2")
        await desk.draft(other, refund())
        await desk.send(other)

        assert (await desk.lease(run, holder="h2")).kind == "refused"
        assert "Another action on" in str((await desk.call(run)).result)


@pytest.mark.parametrize(("cents", "kind"), [(999_00, "leased"), (1_001_00, "refused")])
async def test_p11_money_that_the_live_release_names_is_limited(
    tables_url: str, cents: int, kind: str
) -> None:
    async with unguarded(tables_url, "money", cents) as (desk, run):
        answer = await desk.lease(run, money=None)

        assert answer.kind == kind
        found = [one.amount for one in await desk.rows(EffectRow)]
        assert found == ([cents] if kind == "leased" else [])


@pytest.mark.parametrize(
    ("lost", "changes"),
    [
        ("subject='order_id'", {"subject": None}),
        ("money='amount'", {"money": None}),
        ("authority='irreversible'", {"authority": "read_only"}),
    ],
    ids=["subject", "money", "authority"],
)
async def test_p11_a_release_that_lacks_a_guard_does_not_go_live(
    desk: Desk, lost: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(GuardLost, match=f"refund.*Keep {lost}"):
        await desk.go_live(tools=changed(desk, **changes))

    assert await live(desk) == desk.release.hash()


async def test_p11_a_service_keeps_its_name_while_it_has_a_history(desk: Desk) -> None:
    await desk.go_live(tools=changed(desk, service="payments"), rules=(ALLOW,))
    await desk.go_live(tools=changed(desk, service="payment"), rules=(ALLOW,))
    named = changed(desk, service="payments")
    kept = await desk.go_live(tools=named, rules=(ALLOW,))
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.do(run)

    with pytest.raises(HistoryLost, match="Keep service='payments'"):
        await desk.go_live(tools=changed(desk, service="pay"), rules=(ALLOW,))
    assert await live(desk) == kept.hash()
    await desk.go_live(tools=changed(desk, service=None), rules=(ALLOW,))
    # Nor in two steps.
    with pytest.raises(HistoryLost):
        await desk.go_live(tools=changed(desk, service="pay"), rules=(ALLOW,))
    again = await desk.start(customer="c2")
    assert [one.gate for one in await desk.draft(again, refund())] == ["wait"]


def changed(desk: Desk, **changes: Any) -> tuple[Any, ...]:
    return tuple(
        one.model_copy(update=changes) if one.name == "refund" else one
        for one in desk.release.tools
    )


async def live(desk: Desk) -> str:
    async with desk.store.read() as session:
        return (await releases.live(session, "desk"))[0]
