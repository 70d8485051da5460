"""P2, P4: a name that a caller may invent opens no new scope."""

import asyncio
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from keyturn.orchestrator.rules.contract.release import Release, ToolSpec
from keyturn.orchestrator.rules.money.budget import Limit
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.policy import stakes
from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.rules.text import folded_name
from keyturn.orchestrator.store.ledger import reach
from keyturn.orchestrator.store.runs import start
from keyturn.orchestrator.store.runs.start import NewRun
from tests.databases import both
from tests.orchestrator.store.desk import Desk, note, open_desk
from tests.orchestrator.store.ledger.test_p04_thresholds import (
    ASK,
    NOTES,
    SMALL,
    bring,
    drafted,
)

ALLOW_ALL = Rule("refund", verdict="allow")
CUSTOMERS = {
    "as-it-is": "c-1",
    "case": "C-1",
    "space": "c -1",
    "wide": "\uff43\uff0d\uff11",
    "invisible": "c\u200b-1",
    "variation": "c-1\ufe0f",
}
TENANTS = ("t-1", "t-2", "t-3")


@pytest.fixture
async def tiers(tables_url: str) -> AsyncIterator[Desk]:
    """A desk that allows 20 dollars and asks beyond; nothing limits it."""
    async with open_desk(tables_url, rules=(SMALL, ASK, NOTES), limits=()) as desk:
        yield desk


@pytest.mark.parametrize("state", ["leased", "sending", "unknown"])
async def test_p02_another_tenant_is_no_other_subject(tiers: Desk, state: str) -> None:
    await bring(tiers, await drafted(tiers, 1_00, tenant="t-1"), state)
    other = await drafted(tiers, 1_00, tenant="t-2", customer="c2")

    answer = await tiers.lease(other, holder="h2")

    words = str((await tiers.call(other)).result)
    assert answer.kind == "refused"
    # Whose run it is, is the other tenant's.
    assert "run-" not in words


async def test_p02_a_second_action_asks_whatever_its_tenant(tiers: Desk) -> None:
    await tiers.do(await drafted(tiers, 1_00, tenant="t-1"))
    other = await drafted(tiers, 1_00, tenant="t-2", customer="c2")

    assert (await tiers.lease(other, holder="h2")).kind == "waiting"
    assert (await tiers.approval(other)).rule.startswith("an earlier action")


@pytest.mark.parametrize("customer", CUSTOMERS.values(), ids=list(CUSTOMERS))
async def test_p04_a_customer_is_one_in_every_tenant_and_spelling(
    tiers: Desk, customer: str
) -> None:
    await tiers.do(await drafted(tiers, 15_00, customer="c-1", tenant="t-1"))
    other = await drafted(tiers, 6_00, order="o2", customer=customer, tenant="t-2")

    assert (await tiers.lease(other, holder="h2")).kind == "waiting"
    assert (await tiers.approval(other)).rule == str(ASK)


@pytest.mark.parametrize("number", [1, 1.0], ids=repr)
async def test_p04_a_number_is_one_customer_however_it_is_written(
    tiers: Desk, number: float
) -> None:
    await tiers.go_live(input_schema={"type": "object"})
    ticket: dict[str, JsonValue] = {"customer_id": number, "text": "hello"}
    new = NewRun(workflow="desk", tenant="default", input=ticket)

    row, _ = await start.start(tiers.store, new)

    assert row.customer == "1"


@pytest.mark.parametrize("customer", CUSTOMERS.values(), ids=list(CUSTOMERS))
@pytest.mark.parametrize("per", ["customer", "subject"])
async def test_p04_a_limit_holds_in_every_tenant_and_spelling(
    tables_url: str, per: Any, customer: str
) -> None:
    limits = (Limit(Money(100_00, "USD"), per=per),)
    async with open_desk(tables_url, rules=(ALLOW_ALL,), limits=limits) as desk:
        await desk.do(await drafted(desk, 81_00, customer="c-1", tenant="t-1"))
        order = "o2" if per == "customer" else "o1"
        other = await drafted(desk, 30_00, order=order, customer=customer, tenant="t-2")
        if per == "subject":
            # A second action on it asks in any case; its limit is no person's to lift.
            await desk.decide(other, "amy")

        answer = await desk.lease(other, holder="h2")

        words = str((await desk.call(other)).result)
        assert answer.kind == "refused"
        assert "100.00 USD" in words
        # What is left would tell of the other tenant's money.
        assert "19.00" not in words


async def test_p04_a_limit_says_what_is_left_where_all_is_the_tenants_own(
    tables_url: str,
) -> None:
    limits = (Limit(Money(100_00, "USD"), per="customer"),)
    async with open_desk(tables_url, rules=(ALLOW_ALL,), limits=limits) as desk:
        await desk.do(await drafted(desk, 81_00))
        other = await drafted(desk, 30_00, order="o2")

        await desk.lease(other, holder="h2")

        assert "19.00" in str((await desk.call(other)).result)


async def test_p02_an_id_is_one_subject_whatever_the_field_is_called(
    tiers: Desk,
) -> None:
    renamed = _with(tiers.release, "set_note", subject="note")
    await tiers.go_live(tools=renamed)
    await bring(tiers, await drafted(tiers, 1_00), "leased")
    run = await tiers.start(customer="c2")
    await tiers.draft(run, note(order="other", text="O1"))

    assert (await tiers.lease(run, holder="h2")).kind == "refused"


@both
async def test_p04_three_at_once_in_three_tenants_are_one_after_the_other(
    tiers: Desk,
) -> None:
    runs = [
        await drafted(tiers, 8_00, order=f"o{n}", tenant=tenant)
        for n, tenant in enumerate(TENANTS)
    ]

    answers = await asyncio.gather(*(tiers.lease(run, holder=run) for run in runs))

    assert sorted(one.kind for one in answers) == ["leased", "leased", "waiting"]


async def test_p04_tenants_that_the_service_separates_are_apart(
    tables_url: str,
) -> None:
    async with _shops(tables_url, ("shop",)) as desk:
        await desk.do(await drafted(desk, 15_00, tenant="t-1"))
        same = await drafted(desk, 6_00, order="o2", tenant="t-1")
        other = await drafted(desk, 6_00, tenant="t-2")

        assert (await desk.lease(same, holder="h2")).kind == "waiting"
        assert (await desk.lease(other, holder="h3")).kind == "leased"


async def test_p04_tenants_are_apart_only_where_pinned_and_live_release_say_so(
    tables_url: str,
) -> None:
    async with _shops(tables_url, ("shop",)) as desk:
        await desk.do(await drafted(desk, 15_00, tenant="t-1"))
        other = await drafted(desk, 6_00, tenant="t-2")
        await desk.go_live(separates_tenants=())

        assert (await desk.lease(other, holder="h3")).kind == "waiting"


async def test_p02_a_tool_without_a_service_meets_those_of_every_service(
    tables_url: str,
) -> None:
    async with _shops(tables_url, ("shop",)) as desk:
        await bring(desk, await drafted(desk, 1_00, tenant="t-1"), "leased")
        run = await desk.start(tenant="t-2", customer="c2")
        await desk.draft(run, note())

        assert (await desk.lease(run, holder="h2")).kind == "refused"


@given(st.text(max_size=60))
def test_a_folded_name_is_folded_already(name: str) -> None:
    once = folded_name.fold(_whole(name))

    assert folded_name.fold(once) == once
    assert len(once) <= folded_name.LONGEST


@given(st.text(max_size=40))
def test_a_subject_is_one_in_every_spelling(name: str) -> None:
    name = _whole(name)
    spec = ToolSpec.model_construct(subject="order_id")
    spellings = [
        name,
        name.upper(),
        unicodedata.normalize("NFD", name),
        f" {name}\u200b",
    ]

    keys = {reach.key_of(stakes.named(spec, one)) for one in spellings}

    # `İ`.upper().lower() and the like are other letters to Unicode itself.
    if name.casefold() == name.upper().casefold():
        assert len(keys) == 1


def test_a_subject_whose_folding_is_long_is_one_with_the_long_spelling() -> None:
    spec = ToolSpec.model_construct(subject="order_id")
    short, long = "\ufdfa" * 40, unicodedata.normalize("NFKC", "\ufdfa" * 40)

    assert len(long) > folded_name.LONGEST > len(short)
    assert reach.key_of(stakes.named(spec, short)) == reach.key_of(
        stakes.named(spec, long)
    )


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


@asynccontextmanager
async def _shops(url: str, apart: tuple[str, ...]) -> AsyncGenerator[Desk]:
    """Open a desk whose refunds are a shop's, which keeps its tenants apart."""
    async with open_desk(url, rules=(SMALL, ASK, NOTES), limits=()) as desk:
        tools = _with(desk.release, "refund", service="shop")
        made = await desk.go_live(tools=tools, separates_tenants=apart)
        yield replace(desk, release=made)


def _with(release: Release, tool: str, **changes: Any) -> tuple[ToolSpec, ...]:
    return tuple(
        one.model_copy(update=changes) if one.name == tool else one
        for one in release.tools
    )
