"""P4: a payment and what takes it back count once, as the greater of the two."""

from collections.abc import AsyncIterator

import pytest
from pydantic import JsonValue

from keyturn.orchestrator.rules.contract.release import COMPUTED, Release
from keyturn.orchestrator.rules.errors import LimitExceeded
from keyturn.orchestrator.rules.money.budget import Limit
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.effects import compensation, late_failure
from keyturn.orchestrator.store.ledger import limits
from keyturn.orchestrator.store.runs import end
from keyturn.orchestrator.store.runs.end import Ending
from keyturn.orchestrator.store.tables import EffectRow
from keyturn.orchestrator.store.turns.turn import DraftedCall
from tests.orchestrator.store.desk import Desk, open_desk
from tests.orchestrator.store.effects.test_compensation import BOUNCED, settled

LIMITS = (
    Limit(Money(100_00, "USD"), per="customer"),
    Limit(Money(100_00, "EUR"), per="customer"),
)
RULES = (
    Rule("pay", verdict="allow"),
    Rule("take_back", up_to=Money(60_00, "USD"), approvers=1),
    Rule("take_back", approvers=2),
)


@pytest.fixture
async def till(tables_url: str) -> AsyncIterator[Desk]:
    """A desk whose action that takes a payment back moves money, too."""
    async with open_desk(tables_url, rules=RULES, limits=LIMITS) as made:
        made.release = await made.go_live(tools=taking_back(made.release))
        yield made


def taking_back(release: Release) -> tuple[object, ...]:
    changes = {"money": COMPUTED, "compensate": "take_back", "service": None}
    return tuple(
        one.model_copy(update=changes if one.name == "take_back" else {})
        for one in release.tools
    )


async def paid(desk: Desk, cents: int = 50_00, *, order: str = "o1") -> str:
    """Pay, and return the effect's key."""
    run = await desk.start()
    amount: JsonValue = {"amount": cents, "currency": "USD"}
    drafted = DraftedCall(
        index=0,
        tool="pay",
        provider_id="call_1",
        arguments=canonical.text({"order_id": order, "amount": amount}),
        money=Money(cents, "USD"),
    )
    await desk.draft(run, drafted)
    grant = await desk.do(run)
    await end.finish(desk.store, run, Ending(outcome="completed"))
    return grant.key


async def taken_back(desk: Desk, key: str, money: Money, **edit: JsonValue) -> str:
    """Take a payment back, and return the key of that."""
    row, _ = await compensation.ask(
        desk.store, key, by="lou", by_name="Lou", reason="Paid by mistake."
    )
    said: dict[str, JsonValue] = {"order_id": "o1", "receipt": "r-1"}
    drafted = DraftedCall(
        index=0,
        tool="take_back",
        provider_id="compensate",
        arguments=canonical.text(said),
        money=money,
    )
    await desk.draft(row.id, drafted)
    await desk.decide(row.id, "amy", arguments={**said, **edit} if edit else None)
    if edit:
        await desk.lease(row.id, money=money)
        await desk.decide(row.id, "bob")
    grant = await desk.do(row.id, money=money)
    await end.finish(desk.store, row.id, Ending(outcome="completed"))
    return grant.key


async def left(desk: Desk, currency: str = "USD") -> int:
    """Return how much more the customer's limit lets through."""
    (some, *_) = await desk.rows(EffectRow)
    for amount in (100_00, 80_00, 50_00, 30_00, 1_00):
        fresh = some.model_copy(
            update={"key": "next", "amount": amount, "currency": currency}
        )
        fresh.compensates = None
        async with desk.store.write() as session:
            try:
                await limits.check_limits(session, fresh, [LIMITS])
            except LimitExceeded:
                continue
        return amount
    return 0


@pytest.mark.parametrize(
    ("back", "free"),
    [(50_00, 50_00), (20_00, 50_00), (70_00, 30_00)],
    ids=["all", "a-part", "more"],
)
async def test_p04_a_payment_and_what_takes_it_back_count_once(
    till: Desk, back: int, free: int
) -> None:
    key = await paid(till)
    if back > 60_00:
        await till.go_live(tools=till.release.tools, rules=(RULES[0], ASKED))

    await taken_back(till, key, Money(back, "USD"))

    assert await left(till) == free


async def test_p04_what_is_taken_back_in_another_currency_counts_whole(
    till: Desk,
) -> None:
    await till.go_live(tools=till.release.tools, rules=(RULES[0], ASKED))
    await taken_back(till, await paid(till), Money(50_00, "EUR"))

    assert (await left(till), await left(till, "EUR")) == (50_00, 50_00)


@pytest.mark.parametrize(
    ("is_settled", "free"), [(False, 0), (True, 50_00)], ids=["reopened", "failed"]
)
async def test_p04_what_takes_back_a_payment_that_failed_counts_whole(
    till: Desk, free: int, *, is_settled: bool
) -> None:
    key = await paid(till)
    await taken_back(till, key, Money(50_00, "USD"))

    await late_failure.reopen(till.store, key, BOUNCED)
    if is_settled:
        await settled(till, key, stayed=False)

    assert await left(till) == free


async def test_p04_what_takes_back_what_took_back_counts_whole(till: Desk) -> None:
    first = await taken_back(till, await paid(till), Money(50_00, "USD"))
    await till.go_live(tools=till.release.tools, rules=(RULES[0], ASKED))

    await taken_back(till, first, Money(50_00, "USD"))

    assert await left(till) == 0


async def test_p04_what_a_person_turned_into_another_action_counts_whole(
    till: Desk,
) -> None:
    await till.go_live(tools=till.release.tools, rules=(RULES[0], ASKED))
    key = await paid(till)

    taken = await taken_back(till, key, Money(50_00, "USD"), order_id="o2")

    assert (await till.effect(taken)).compensates is None
    assert await left(till) == 0


async def test_p04_a_payment_is_left_out_of_the_verdict_on_what_takes_it_back(
    till: Desk,
) -> None:
    """50 dollars and the 50 before would be 100: two people."""
    key = await paid(till)

    taken = await taken_back(till, key, Money(50_00, "USD"))

    assert (await till.effect(taken)).compensates == key
    assert (await till.effect(taken)).approvers == ["amy"]


ASKED = Rule("take_back", approvers=1)
