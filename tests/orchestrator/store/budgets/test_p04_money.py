"""P4: no overspend of tokens, dollars or the customer's money, however many race."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest

from keyturn.orchestrator.rules.errors import BudgetExceeded
from keyturn.orchestrator.rules.money.budget import Budget, Limit
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.store.budgets import limits as budget_limits
from keyturn.orchestrator.store.budgets import reservations, settlement
from keyturn.orchestrator.store.budgets.limits import Bounds
from keyturn.orchestrator.store.budgets.reservations import Reservation
from keyturn.orchestrator.store.budgets.settlement import Used
from keyturn.orchestrator.store.effects import resolution
from keyturn.orchestrator.store.effects.resolution import Resolution
from keyturn.orchestrator.store.switches import switches
from keyturn.orchestrator.store.tables import AttemptRow, EffectRow, MeterRow
from tests.databases import both
from tests.orchestrator.store.desk import Desk, open_desk, refund

DAY = timedelta(days=1)
USED = Used(input_tokens=30, output_tokens=10, cost_microusd=4)
SMALL = Rule("refund", up_to=Money(20_00, "USD"), verdict="allow")
ASK = Rule("refund", up_to=Money(5_000_00, "USD"), approvers=1)
ALLOW_ALL = Rule("refund", verdict="allow")


@pytest.fixture
async def open_hand(tables_url: str) -> AsyncIterator[Desk]:
    """A desk whose rules allow every refund: its limits alone hold."""
    limits = (Limit(Money(100_00, "USD"), per="tenant"),)
    async with open_desk(tables_url, rules=(ALLOW_ALL,), limits=limits) as desk:
        yield desk


@both
async def test_p04_racing_reservations_never_exceed_a_budget(desk: Desk) -> None:
    run = await desk.start()
    scopes = {
        "run r": Bounds(tokens=1000, cost_microusd=10_000),
        "tenant t on d": Bounds(cost_microusd=450),
    }

    answers = await asyncio.gather(
        *(reservations.reserve(desk.store, wanted(run, n), scopes) for n in range(12)),
        return_exceptions=True,
    )

    assert sum(one is None for one in answers) == 4
    assert all(isinstance(one, BudgetExceeded) for one in answers if one is not None)
    assert (await meter(desk, "tenant t on d")).held_microusd == 400


async def test_p04_what_is_refused_holds_nothing_in_any_scope(desk: Desk) -> None:
    run = await desk.start()
    scopes = {"run r": Bounds(tokens=1000), "tenant t on d": Bounds(tokens=1)}

    with pytest.raises(BudgetExceeded, match="tenant t on d"):
        await reservations.reserve(desk.store, wanted(run, 1), scopes)

    assert await desk.rows(AttemptRow) == []
    assert [one.held_tokens for one in await desk.rows(MeterRow)] in ([], [0, 0])


async def test_p04_a_second_settlement_changes_nothing(desk: Desk) -> None:
    run = await desk.start()
    await reservations.reserve(desk.store, wanted(run, 1), {"run r": Bounds()})

    for _ in range(2):
        await settlement.settle(desk.store, "try-1", USED)

    found = await meter(desk, "run r")
    assert (found.held_tokens, found.used_tokens, found.used_microusd) == (0, 40, 4)
    assert (await desk.run(run)).tokens == 40


@both
async def test_p04_racing_settlements_count_once(desk: Desk) -> None:
    run = await desk.start()
    await reservations.reserve(desk.store, wanted(run, 1), {"run r": Bounds()})

    await asyncio.gather(
        *(settlement.settle(desk.store, "try-1", USED) for _ in range(6)),
        settlement.charge_dead(desk.store),
    )

    assert (await meter(desk, "run r")).used_tokens == 40


async def test_p04_what_reached_nobody_is_freed(desk: Desk) -> None:
    run = await desk.start()
    await reservations.reserve(desk.store, wanted(run, 1), {"run r": Bounds()})

    await settlement.settle(desk.store, "try-1", None)

    found = await meter(desk, "run r")
    assert (found.held_tokens, found.used_tokens) == (0, 0)


async def test_p04_a_dead_holder_is_charged_at_the_maximum(desk: Desk) -> None:
    run = await desk.start()
    await reservations.reserve(desk.store, wanted(run, 1), {"run r": Bounds()})
    early = await settlement.charge_dead(desk.store)
    desk.clock.go_on(timedelta(minutes=11))

    late = await settlement.charge_dead(desk.store)

    found = await meter(desk, "run r")
    assert (early, late) == (0, 1)
    assert (found.held_microusd, found.used_microusd) == (0, 100)


async def test_p04_a_charge_is_corrected_when_the_usage_is_known(desk: Desk) -> None:
    run = await desk.start()
    await reservations.reserve(desk.store, wanted(run, 1), {"run r": Bounds()})
    desk.clock.go_on(timedelta(minutes=11))
    await settlement.charge_dead(desk.store)

    await settlement.settle(desk.store, "try-1", USED)

    found = await meter(desk, "run r")
    assert (found.held_tokens, found.used_tokens, found.used_microusd) == (0, 40, 4)
    assert (await desk.run(run)).cost_microusd == 4


@both
async def test_p04_a_turn_a_reservation_and_a_sweep_do_not_deadlock(
    desk: Desk,
) -> None:
    found = [await desk.start(customer=f"c{n}") for n in range(6)]
    scopes = {"tenant t on d": Bounds(), "workflow w on d": Bounds()}
    for n, run in enumerate(found):
        mine = {**scopes, f"run {run}": Bounds()}
        await reservations.reserve(desk.store, wanted(run, n), mine)

    await asyncio.gather(
        *(
            reservations.reserve(
                desk.store, wanted(run, n + 100), {**scopes, f"run {run}": Bounds()}
            )
            for n, run in enumerate(found)
        ),
        *(settlement.settle(desk.store, f"try-{n}", USED) for n in range(6)),
        *(desk.draft(run, refund(order=run)) for run in found),
        settlement.charge_dead(desk.store),
    )

    assert (await meter(desk, "tenant t on d")).used_tokens == 240


def test_p04_an_unlisted_currency_is_no_money() -> None:
    with pytest.raises(ValueError, match="ISO 4217"):
        Money(100, "ZZZ")


async def test_p04_money_without_a_limit_in_its_currency_is_refused(
    open_hand: Desk,
) -> None:
    run = await open_hand.start()
    await open_hand.draft(run, refund(10_00))

    answer = await open_hand.lease(run, money=Money(1_00, "EUR"))

    assert answer.kind == "refused"
    assert "none declared" in str((await open_hand.call(run)).result)


@both
async def test_p04_racing_refunds_never_exceed_a_limit(open_hand: Desk) -> None:
    found = [await open_hand.start(customer=f"c{n}") for n in range(10)]
    for n, run in enumerate(found):
        await open_hand.draft(run, refund(30_00, order=f"o{n}"))

    answers = await asyncio.gather(*(open_hand.lease(run, holder=run) for run in found))

    assert [one.kind for one in answers].count("leased") == 3
    moved = sum(e.amount or 0 for e in await open_hand.rows(EffectRow))
    assert moved == 90_00


@both
@pytest.mark.parametrize("limits", [(), (Limit(Money(999_00, "USD"), per="run"),)])
async def test_p04_fifty_small_refunds_at_once_are_one_big_one(
    tables_url: str, limits: tuple[Limit, ...]
) -> None:
    async with open_desk(tables_url, rules=(SMALL, ASK), limits=limits) as desk:
        found = [await desk.start() for _ in range(8)]
        for n, run in enumerate(found):
            await desk.draft(run, refund(6_00, order=f"o{n}"))

        answers = await asyncio.gather(*(desk.lease(r, holder=r) for r in found))

        kinds = [one.kind for one in answers]
        assert kinds.count("leased") == 3
        assert kinds.count("waiting") == 5


async def test_p04_a_lease_that_was_revoked_is_counted_anew(open_hand: Desk) -> None:
    first, second = [await open_hand.start(customer=f"c{n}") for n in range(2)]
    await open_hand.draft(first, refund(80_00))
    await open_hand.draft(second, refund(80_00, order="o2"))
    await open_hand.granted(first)
    await open_hand.switch("halt", tool="refund")
    await switches.clear(open_hand.store, "s1", by="lea", reason="over")
    await open_hand.do(second, holder="h2")

    answer = await open_hand.lease(first, holder="h3")

    assert answer.kind == "refused"


async def test_p04_a_lease_taken_over_later_counts_from_then(open_hand: Desk) -> None:
    first = await open_hand.start()
    await open_hand.draft(first, refund(80_00))
    await open_hand.granted(first)
    open_hand.clock.go_on(2 * DAY)
    await open_hand.do(first, holder="h2")
    second = await open_hand.start(customer="c2")
    await open_hand.draft(second, refund(80_00, order="o2"))

    assert (await open_hand.lease(second, holder="h3")).kind == "refused"


@pytest.mark.parametrize("outcome", ["unknown", "done"])
async def test_p04_time_frees_no_money_that_may_have_moved(
    open_hand: Desk, outcome: str
) -> None:
    run = await open_hand.start()
    await open_hand.draft(run, refund(80_00))
    grant = await open_hand.send(run)
    await open_hand.record(grant, outcome)
    open_hand.clock.go_on(DAY / 2 if outcome == "done" else 30 * DAY)
    other = await open_hand.start(customer="c2")
    await open_hand.draft(other, refund(80_00, order="o2"))

    assert (await open_hand.lease(other, holder="h2")).kind == "refused"


async def test_p04_an_outcome_frees_money_that_did_not_move(open_hand: Desk) -> None:
    run = await open_hand.start()
    await open_hand.draft(run, refund(80_00))
    grant = await open_hand.send(run)
    await open_hand.record(grant, "unknown", "cut")
    open_hand.clock.go_on(timedelta(minutes=1))
    never = Resolution(happened=False, evidence="none", person="l", person_name="L")
    await resolution.resolve(open_hand.store, grant.key, never)
    other = await open_hand.start(customer="c2")
    await open_hand.draft(other, refund(80_00, order="o2"))

    assert (await open_hand.lease(other, holder="h2")).grant is not None


async def test_p11_a_live_limit_that_is_tighter_holds_runs_that_began(
    open_hand: Desk,
) -> None:
    run = await open_hand.start()
    await open_hand.draft(run, refund(80_00))
    await open_hand.go_live(limits=(Limit(Money(10_00, "USD"), per="run"),))

    assert (await open_hand.lease(run)).kind == "refused"


async def test_p11_a_live_limit_that_is_looser_releases_nothing(
    open_hand: Desk,
) -> None:
    run = await open_hand.start()
    await open_hand.draft(run, refund(180_00))
    await open_hand.go_live(limits=(Limit(Money(900_00, "USD"), per="tenant"),))

    assert (await open_hand.lease(run)).kind == "refused"


@pytest.mark.parametrize(
    ("per", "elsewhere"),
    [
        ("customer", {"customer": "c2"}),
        ("workflow", None),
        ("tenant", {"tenant": "t2"}),
    ],
)
async def test_p04_a_limit_counts_within_its_scope_alone(
    tables_url: str, per: str, elsewhere: dict[str, str] | None
) -> None:
    limit = Limit(Money(100_00, "USD"), per=per)  # pyright: ignore[reportArgumentType] from the table above
    async with open_desk(tables_url, rules=(ALLOW_ALL,), limits=(limit,)) as desk:
        first = await spend(desk, "o1")

        inside = await spend(desk, "o2")
        outside = await spend(desk, "o3", **elsewhere) if elsewhere else "leased"

        assert (first, inside, outside) == ("leased", "refused", "leased")


async def test_p04_a_run_has_a_limit_of_its_own(tables_url: str) -> None:
    limits = (Limit(Money(100_00, "USD"), per="run"),)
    async with open_desk(tables_url, rules=(ALLOW_ALL,), limits=limits) as desk:
        run, other = await desk.start(), await desk.start()
        await desk.draft(run, refund(80_00), refund(80_00, index=1, order="o2"))
        await desk.draft(other, refund(80_00, order="o3"))

        first = await desk.lease(run, index=0)
        second = await desk.lease(run, index=1)

        assert (first.kind, second.kind) == ("leased", "refused")
        assert (await desk.lease(other)).kind == "leased"


async def test_p04_a_subject_has_a_limit_of_its_own(tables_url: str) -> None:
    limits = (Limit(Money(100_00, "USD"), per="subject"),)
    async with open_desk(tables_url, rules=(ASK,), limits=limits) as desk:
        kinds: list[str] = []
        for n, order in enumerate(("o1", "o1", "o2")):
            run = await desk.start(customer=f"c{n}")
            await desk.draft(run, refund(80_00, order=order))
            await desk.decide(run)
            answer = await desk.lease(run, holder=run)
            kinds.append(answer.kind)
            if answer.grant is not None:
                await desk.begin(answer.grant, holder=run)
                await desk.record(answer.grant, "done")

        assert kinds == ["leased", "refused", "leased"]


async def test_p04_an_approver_has_a_limit_of_their_own(tables_url: str) -> None:
    limits = (Limit(Money(100_00, "USD"), per="approver"),)
    async with open_desk(tables_url, rules=(ASK,), limits=limits) as desk:
        kinds: list[str] = []
        for n, who in enumerate(("amy", "amy", "bob")):
            run = await desk.start(customer=f"c{n}")
            await desk.draft(run, refund(80_00, order=f"o{n}"))
            await desk.decide(run, who)
            kinds.append((await desk.lease(run, holder=f"h{n}")).kind)

        assert kinds == ["leased", "refused", "leased"]


async def test_p04_a_days_budget_is_of_the_day_in_utc(desk: Desk) -> None:
    budget = Budget(
        cost_usd=Decimal(1),
        tokens=1,
        turns=1,
        owner="o",
        workflow_day_usd=Decimal(2),
        tenant_day_usd=Decimal(3),
    )

    scopes = budget_limits.bounds(
        budget, run="r", workflow="w", tenant="t", now=desk.clock.at
    )

    assert set(scopes) == {
        "run r",
        "workflow w on 2030-01-01",
        "tenant t on 2030-01-01",
    }


async def spend(desk: Desk, order: str, **where: str) -> str:
    """Lease a refund of 80.00 USD; return what the ledger said."""
    run = await desk.start(**where)
    await desk.draft(run, refund(80_00, order=order))
    return (await desk.lease(run, holder=run)).kind


def wanted(run: str, number: int) -> Reservation:
    return Reservation(
        attempt=f"try-{number}",
        run=run,
        turn=1,
        number=number,
        provider="openai",
        model="m",
        tokens=100,
        cost_microusd=100,
    )


async def meter(desk: Desk, scope: str) -> MeterRow:
    (found,) = await desk.rows(MeterRow, scope=scope)
    return found
