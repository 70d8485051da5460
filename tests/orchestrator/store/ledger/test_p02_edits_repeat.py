"""P2 and P10: an edit that would do again what is done already is judged as that."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import JsonValue

from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.policy.rules import REPEATED, Rule
from keyturn.orchestrator.store.approvals import edit
from tests.orchestrator.store.desk import Desk, open_desk, person, unchanged
from tests.orchestrator.store.ledger.test_p04_thresholds import (
    ASK,
    NOTES,
    SMALL,
    drafted,
)

BY_A_LEAD = Rule("refund", up_to=Money(5_000_00, "USD"), approvers=1, role="lead")


def asking(cents: int, *, order: str = "o1") -> dict[str, JsonValue]:
    amount: JsonValue = {"amount": cents, "currency": "USD"}
    return {"order_id": order, "amount": amount, "reason": "late"}


@pytest.fixture
async def tiers(tables_url: str) -> AsyncIterator[Desk]:
    """A desk that allows 20 dollars and asks beyond; nothing limits it."""
    async with open_desk(tables_url, rules=(SMALL, ASK, NOTES), limits=()) as desk:
        yield desk


@pytest.mark.parametrize("cents", [5_00, 60_00], ids=["allowed", "asked"])
async def test_p02_an_edit_onto_what_is_done_already_says_so(
    tiers: Desk, cents: int
) -> None:
    await tiers.do(await drafted(tiers, 5_00, order="o1", customer="c2"))
    run = await drafted(tiers, 50_00, order="o2")

    await tiers.decide(run, "amy", arguments=asking(cents, order="o1"))

    asked = await tiers.approval(run, "pending")
    assert (asked.rule, asked.subject) == (REPEATED, "order_id=o1")


async def test_p10_an_edit_is_asked_where_a_switch_asks(tiers: Desk) -> None:
    run = await drafted(tiers, 50_00)
    await tiers.switch("require_approval", tool="refund")
    row = await tiers.approval(run, "pending")

    found = await edit.foresee(
        tiers.store, person("amy"), row.id, asking(5_00, order="o2")
    )

    assert (found.needs, found.role) == (1, "agent")


@pytest.mark.parametrize("lacks", ["subject", "money"])
async def test_p11_an_edit_is_judged_by_what_the_live_release_guards(
    tables_url: str, lacks: str
) -> None:
    tools = without(unchanged().tools, "refund", lacks)
    rules = (Rule("refund", approvers=1),)
    async with open_desk(tables_url, tools=tools, rules=rules, limits=()) as desk:
        run = await drafted(desk, 50_00)
        await desk.go_live(tools=unchanged().tools, rules=(SMALL, BY_A_LEAD))
        row = await desk.approval(run, "pending")

        found = await edit.foresee(desk.store, person("amy"), row.id, asking(60_00))

        assert (found.needs, found.role) == (1, "lead")


def without(tools: Any, name: str, field: str) -> tuple[Any, ...]:
    return tuple(
        one.model_copy(update={field: None}) if one.name == name else one
        for one in tools
    )
