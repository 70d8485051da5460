"""P4: a denial says when earlier money counted, and how much; nobody else's."""

from collections.abc import AsyncIterator

import pytest

from keyturn.orchestrator.rules.money.budget import Limit
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.rules.text import model_notices
from tests.orchestrator.store.desk import Desk, open_desk
from tests.orchestrator.store.ledger.test_p04_thresholds import drafted

UP_TO = Rule("refund", up_to=Money(60_00, "USD"), verdict="allow")
BEYOND = Rule("refund", verdict="deny")
WHEN = "45.00 USD on 1 January 2030, 12:00 UTC"
LIMIT = Limit(Money(60_00, "USD"), per="customer")


@pytest.fixture
async def capped(tables_url: str) -> AsyncIterator[Desk]:
    """A desk that allows 60 dollars a customer and order, and nothing beyond."""
    async with open_desk(tables_url, rules=(UP_TO, BEYOND), limits=()) as desk:
        yield desk


async def test_p04_a_denial_says_when_money_counted_and_how_much(capped: Desk) -> None:
    await capped.do(await drafted(capped, 45_00))

    run = await drafted(capped, 20_00, order="o2")

    words = (await capped.call(run)).result or ""
    told = model_notices.call_denied(why=f"{BEYOND}. Counted before: {WHEN}.")
    assert words == told.text
    assert told.words == (
        f"Not allowed: {BEYOND}. Counted before: {WHEN}. It was not done."
    )


async def test_p04_a_denial_at_the_lease_says_so_too(capped: Desk) -> None:
    first, second = [await drafted(capped, c, order=f"o{c}") for c in (45_00, 20_00)]
    await capped.do(first)

    answer = await capped.lease(second, holder="h2")

    assert answer.kind == "refused"
    assert f"Counted before: {WHEN}." in ((await capped.call(second)).result or "")


async def test_p04_what_is_not_known_yet_is_told_as_that(capped: Desk) -> None:
    await capped.send(await drafted(capped, 45_00))

    run = await drafted(capped, 20_00, order="o2")

    words = (await capped.call(run)).result or ""
    assert f"{WHEN} (not known yet to have moved)" in words


@pytest.mark.parametrize("other", [{"customer": "c2"}, {"tenant": "t-2"}])
async def test_p14_a_denial_tells_nothing_of_others(
    capped: Desk, other: dict[str, str]
) -> None:
    await capped.do(await drafted(capped, 45_00, **other))

    run = await drafted(capped, 20_00)

    words = (await capped.call(run)).result or ""
    assert "Counted before: money that is not shown here." in words
    assert "45" not in words
    assert "2030" not in words


async def test_p04_a_limit_says_what_counted(tables_url: str) -> None:
    allow = Rule("refund", verdict="allow")
    async with open_desk(tables_url, rules=(allow,), limits=(LIMIT,)) as desk:
        await desk.do(await drafted(desk, 45_00))
        run = await drafted(desk, 20_00, order="o2")

        answer = await desk.lease(run, holder="h2")

        words = (await desk.call(run)).result or ""
        assert answer.kind == "refused"
        assert f"Counted before: {WHEN}. Nothing was sent" in words
