"""P4, P11: a budget that holds runs is raised by two people, and what it holds goes on."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from keyturn.orchestrator.rules import ids
from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.errors import BudgetExceeded, InvalidValue, NotFound
from keyturn.orchestrator.rules.money.budget import Needs
from keyturn.orchestrator.store.budgets import limits, listing, reservations, settlement
from keyturn.orchestrator.store.budgets.limits import Bounds
from keyturn.orchestrator.store.budgets.listing import Filter, Meter
from keyturn.orchestrator.store.budgets.reservations import Reservation
from keyturn.orchestrator.store.dual_control import budget_raise, proposals, requests
from keyturn.orchestrator.store.dual_control.budget_raise import Raise
from keyturn.orchestrator.store.dual_control.errors import (
    HoldsNothing,
    NeedsSecondPerson,
    ProposalClosed,
)
from keyturn.orchestrator.store.runs import control, end
from keyturn.orchestrator.store.runs.end import Ending
from keyturn.orchestrator.store.runs.errors import RunEnded
from keyturn.orchestrator.store.tables import (
    AuditRow,
    MeterRow,
    OutboxRow,
    PersonRow,
    ProposalRow,
)
from keyturn.orchestrator.store.turns import position as turn_position
from keyturn.orchestrator.store.turns.position import Position
from tests.databases import both
from tests.orchestrator.store.desk import Desk, person, refund

ROLES = ("operator", "admin")
# The desk's contract: 5 dollars, 2,000,000 tokens and 40 turns a run.
SPENT = 1_999_000


def wish(run: str, **units: int) -> Raise:
    return Raise.model_validate({"scope": f"run {run}", **units})


def operator(name: str, **more: Any) -> Person:
    return person(name, role="operator", **more)


async def at(desk: Desk, run: str) -> Position:
    return await turn_position.load(desk.store, run=run, step=1, turn=1)


async def reserve(desk: Desk, run: str, tokens: int) -> Reservation:
    """Reserve for the run's next attempt, as a worker does."""
    position = await at(desk, run)
    wanted = Reservation(
        attempt=ids.new_id("try"),
        run=run,
        turn=1,
        number=0,
        provider="openai",
        model="m",
        tokens=tokens,
        cost_microusd=tokens,
    )
    scopes = limits.bounds(
        position.release.budget,
        run=run,
        workflow="desk",
        tenant=position.run.tenant,
        now=position.now,
    )
    await reservations.reserve(desk.store, wanted, scopes)
    return wanted


async def stop(desk: Desk, needs: Needs, run: str) -> bool:
    by = hold.by_budget(needs.scope)
    return await turn_position.stop(desk.store, await at(desk, run), by, needs)


async def held(desk: Desk, run: str | None = None) -> str:
    """Return a run that its budget of tokens holds."""
    run = run or await desk.start()
    await reserve(desk, run, SPENT)
    with pytest.raises(BudgetExceeded):
        await reserve(desk, run, 2_000)
    needs = Needs(scope=f"run {run}", tokens=2_000, microusd=2_000)
    assert await stop(desk, needs, run)
    return run


async def hired(desk: Desk) -> None:
    async with desk.store.write() as session:
        for name in ("olga", "otto"):
            row = PersonRow(
                id=name,
                name=name.title(),
                email=f"{name}@example.com",
                role="operator",
                created_at=await session.read_clock(),
            )
            session.add(row)


async def propose(desk: Desk, wanted: Raise, who: Person | None = None) -> ProposalRow:
    who = who or operator("olga")
    return await requests.to_raise(desk.store, wanted, who, reason="A long talk.")


async def confirm(desk: Desk, made: ProposalRow, who: str = "otto") -> ProposalRow:
    return await proposals.confirm(desk.store, made.id, operator(who), roles=ROLES)


async def meter(desk: Desk, run: str) -> Meter:
    async with desk.store.read() as session:
        wanted = Filter(run=run)
        await session.read_clock()
        [found] = await listing.listing(session, wanted, limit=2)
    return found


@pytest.fixture
async def staffed(desk: Desk) -> Desk:
    await hired(desk)
    return desk


async def test_p04_two_people_raise_a_budget_and_its_run_goes_on(staffed: Desk) -> None:
    run = await held(staffed)
    before = await staffed.run(run)

    made = await propose(staffed, wish(run, tokens=2_500_000))
    still = await staffed.run(run)
    await confirm(staffed, made)

    assert (before.status, still.status) == ("stopped", "stopped")
    assert before.stopped_by == f"budget run {run}"
    assert [one.kind for one in await staffed.rows(OutboxRow, run=run)][-1] == "resume"
    assert (await meter(staffed, run)).bounds.tokens == 2_500_000
    await turn_position.go_on(staffed.store, run, 1)
    await reserve(staffed, run, 2_000)
    assert (await staffed.run(run)).status == "running"
    [row] = await staffed.rows(AuditRow, kind="budget.raised")
    assert (row.actor, row.subject, row.run) == ("otto", f"run {run}", run)
    assert '"proposed_by":"olga"' in row.payload.replace(" ", "")


async def test_p04_only_the_run_that_was_raised_has_more(staffed: Desk) -> None:
    first, second = await held(staffed), await held(staffed)

    await confirm(staffed, await propose(staffed, wish(first, tokens=2_500_000)))

    assert (await meter(staffed, second)).bounds.tokens == 2_000_000
    with pytest.raises(BudgetExceeded):
        await reserve(staffed, second, 2_000)
    assert "resume" not in [o.kind for o in await staffed.rows(OutboxRow, run=second)]


async def test_p11_one_person_alone_raises_nothing(staffed: Desk) -> None:
    run = await held(staffed)
    made = await propose(staffed, wish(run, tokens=2_500_000))

    with pytest.raises(NeedsSecondPerson, match="takes two people"):
        await confirm(staffed, made, "olga")
    with pytest.raises(NeedsSecondPerson, match="is a service"):
        await propose(staffed, wish(run, tokens=9**7), operator("x", kind="service"))

    assert (await meter(staffed, run)).bounds.tokens == 2_000_000


@pytest.mark.parametrize(
    ("units", "words"),
    [
        ({"tokens": 2_000_000}, "is not a raise"),
        ({"tokens": 1_000_000}, "is not a raise"),
        ({"tokens": 2_000_500}, "Raise it to 2,001,000 tokens at least"),
        ({"tokens": 20_000_001}, "can reach 20,000,000 tokens at most"),
        ({"turns": 401}, "can reach 400 turns at most"),
        ({"turns": 50}, "is too little for any run to continue"),
        ({"cost_microusd": 6_000_000}, "is too little for any run to continue"),
        ({"cost_microusd": 10**9}, "1,000.00 USD is too much"),
        ({"cost_microusd": 1}, "0.000001 USD is not a raise"),
        ({}, "Give at least one new total"),
    ],
    ids=str,
)
async def test_p04_a_raise_that_is_none_is_refused_with_what_would_do(
    staffed: Desk, units: dict[str, int], words: str
) -> None:
    run = await held(staffed)

    with pytest.raises(InvalidValue) as caught:
        await propose(staffed, wish(run, **units))

    assert words in str(caught.value)


async def test_p04_turns_are_raised_where_they_are_what_lacks(staffed: Desk) -> None:
    run = await staffed.start()
    needs = Needs(scope=f"run {run}", turns=41)
    assert await stop(staffed, needs, run)

    await confirm(staffed, await propose(staffed, wish(run, turns=41)))

    assert await limits.raised_turns(staffed.store, run) == 41
    assert not await stop(staffed, needs, run)
    assert await stop(staffed, needs.model_copy(update={"turns": 42}), run)


async def test_p04_a_raise_that_nobody_needs_is_refused_in_words(staffed: Desk) -> None:
    free, ended = await staffed.start(), await held(staffed)
    made = await propose(staffed, wish(ended, tokens=2_500_000))
    await end.finish(staffed.store, ended, Ending(outcome="handed_off"))
    yesterday = staffed.clock().date() - timedelta(days=1)

    with pytest.raises(HoldsNothing, match="stops no run now"):
        await propose(staffed, wish(free, tokens=2_500_000))
    with pytest.raises(RunEnded):
        await propose(staffed, wish(ended, tokens=2_500_000))
    with pytest.raises(HoldsNothing, match="continue by themselves"):
        await propose(
            staffed, Raise(scope=f"workflow desk on {yesterday}", cost_microusd=9)
        )
    with pytest.raises(InvalidValue, match="There is no budget"):
        await propose(staffed, Raise(scope="everything", tokens=9))
    with pytest.raises(ProposalClosed, match="has ended"):
        await confirm(staffed, made)

    assert (await meter(staffed, ended)).bounds.tokens == 2_000_000


async def test_p04_what_was_raised_meanwhile_makes_another_raise_void(
    staffed: Desk,
) -> None:
    run = await held(staffed)
    small = await propose(staffed, wish(run, tokens=2_002_000))
    large = await propose(staffed, wish(run, tokens=9_000_000))
    await confirm(staffed, small)

    with pytest.raises(ProposalClosed, match="was raised since"):
        await confirm(staffed, large)

    assert (await meter(staffed, run)).bounds.tokens == 2_002_000


async def test_p14_another_tenants_budget_is_not_found(staffed: Desk) -> None:
    run = await held(staffed)
    stranger = operator("olga", tenant="acme")

    with pytest.raises(NotFound):
        await propose(staffed, wish(run, tokens=2_500_000), stranger)


@both
async def test_p04_a_raise_between_look_and_hold_leaves_no_run_standing(
    staffed: Desk,
) -> None:
    """The one that looks again had been told no; the other one is held before and rung."""
    run, needs = await held(staffed), Needs(scope="", tokens=2_000, microusd=2_000)
    needs = needs.model_copy(update={"scope": f"run {run}"})
    made = await propose(staffed, wish(run, tokens=2_500_000))

    _, is_held = await asyncio.gather(confirm(staffed, made), stop(staffed, needs, run))

    signalled = [one.kind for one in await staffed.rows(OutboxRow, run=run)]
    assert not is_held or "resume" in signalled
    assert not await stop(staffed, needs, run)


async def test_p04_a_days_budget_is_raised_for_all_that_it_holds(
    staffed: Desk,
) -> None:
    budget = staffed.release.budget.model_copy(update={"workflow_day_usd": Decimal(1)})
    await staffed.go_live(budget=budget)
    first, second = await staffed.start(), await staffed.start()
    scope = f"workflow desk on {staffed.clock().date().isoformat()}"
    await reserve(staffed, first, 999_000)
    for run in (first, second):
        with pytest.raises(BudgetExceeded, match="workflow desk on"):
            await reserve(staffed, run, 2_000)
        assert await stop(staffed, Needs(scope=scope, microusd=2_000), run)

    made = await propose(staffed, Raise(scope=scope, cost_microusd=1_500_000))
    await confirm(staffed, made)

    for run in (first, second):
        assert "resume" in [o.kind for o in await staffed.rows(OutboxRow, run=run)]
    await reserve(staffed, second, 2_000)
    assert made.target["runs"] == 2
    with pytest.raises(NotFound):
        await propose(
            staffed,
            Raise(scope=scope, cost_microusd=1_600_000),
            operator("olga", tenant="default"),
        )


async def test_p04_room_that_came_free_meanwhile_holds_nobody(staffed: Desk) -> None:
    """A sibling's worst case was settled at less between the look and the hold."""
    run = await staffed.start()
    needs = Needs(scope=f"run {run}", tokens=2_000)
    taken = await reserve(staffed, run, SPENT)
    with pytest.raises(BudgetExceeded):
        await reserve(staffed, run, 2_000)

    await settlement.settle(staffed.store, taken.attempt, None)

    assert not await stop(staffed, needs, run)


async def test_p03_a_pause_over_the_hold_of_a_budget_still_holds(staffed: Desk) -> None:
    run = await held(staffed)
    await staffed.draft(run, refund(), turn=1)
    made = await propose(staffed, wish(run, tokens=2_500_000))
    await control.pause(staffed.store, run, by="lea", reason="look")

    await confirm(staffed, made)

    assert (await staffed.run(run)).stopped_by == "pause by lea"


def test_p04_what_a_scope_may_use_never_falls() -> None:
    """A live contract that gives more than was raised counts as before."""
    raised = limits.as_raised(Bounds(tokens=5), MeterRow(scope="x"))
    row = MeterRow(scope="x", raised_tokens=3, raised_microusd=9)

    assert raised.tokens == 5
    assert limits.as_raised(Bounds(tokens=5), row) == Bounds(tokens=5)
    assert limits.as_raised(Bounds(cost_microusd=5), row).cost_microusd == 9


async def test_p04_the_page_knows_which_budgets_hold(staffed: Desk) -> None:
    run = await held(staffed)

    async with staffed.store.read() as session:
        await session.read_clock()
        [own] = await budget_raise.of_run(session, run)
        days = await budget_raise.of_days(session, sees=None, limit=50)

    assert (own.scope, own.runs, own.least.tokens) == (f"run {run}", 1, 2_001_000)
    assert days == []
