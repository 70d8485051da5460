"""What is taken back has to be done still when the compensating action begins."""

import asyncio
from datetime import timedelta

import pytest
from pydantic import JsonValue

from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.effects import compensation, late_failure, resolution
from keyturn.orchestrator.store.effects.late_failure import Later
from keyturn.orchestrator.store.effects.resolution import Resolution
from keyturn.orchestrator.store.ledger.effects import Grant
from keyturn.orchestrator.store.runs import end
from keyturn.orchestrator.store.runs.end import Ending
from keyturn.orchestrator.store.tables import RunRow
from keyturn.orchestrator.store.turns.turn import DraftedCall
from tests.databases import both
from tests.orchestrator.store.desk import Desk

BOUNCED = Later(
    how="failed", words="It never arrived.", by="system", by_name="the statement"
)
TAKE_BACK = DraftedCall(
    index=0,
    tool="take_back",
    provider_id="compensate",
    arguments=canonical.text({"order_id": "o1", "receipt": "r-1"}),
)


async def paid(desk: Desk) -> Grant:
    """Return a payment that was done, of a run that has ended."""
    run = await desk.start()
    amount: JsonValue = {"amount": 50_00, "currency": "USD"}
    drafted = DraftedCall(
        index=0,
        tool="pay",
        provider_id="call_1",
        arguments=canonical.text({"order_id": "o1", "amount": amount}),
        money=Money(50_00, "USD"),
    )
    await desk.draft(run, drafted)
    grant = await desk.do(run)
    await end.finish(desk.store, run, Ending(outcome="completed"))
    return grant


async def asked(desk: Desk, key: str) -> str:
    """Return a run that takes the payment back, and that a person has approved."""
    row, _ = await compensation.ask(
        desk.store, key, by="lou", by_name="Lou", reason="Paid by mistake."
    )
    await desk.draft(row.id, TAKE_BACK)
    await desk.decide(row.id, "amy")
    return row.id


async def settled(desk: Desk, key: str, *, stayed: bool) -> None:
    found = Resolution(
        happened=stayed, evidence="Ticket B-7", person="lea", person_name="Lea"
    )
    await resolution.resolve(desk.store, key, found)


@pytest.mark.parametrize("is_settled", [False, True], ids=["reopened", "failed"])
async def test_p01_what_failed_later_is_not_taken_back(
    desk: Desk, *, is_settled: bool
) -> None:
    key = (await paid(desk)).key
    run = await asked(desk, key)
    await late_failure.reopen(desk.store, key, BOUNCED)
    if is_settled:
        await settled(desk, key, stayed=False)

    answer = await desk.lease(run)

    assert answer.kind == "void"
    assert key in ((await desk.call(run)).result or "")
    assert (await desk.approval(run)).status == "void"


async def test_what_stayed_after_all_is_taken_back(desk: Desk) -> None:
    key = (await paid(desk)).key
    run = await asked(desk, key)
    await late_failure.reopen(desk.store, key, BOUNCED)
    await settled(desk, key, stayed=True)

    assert (await desk.lease(run)).kind == "leased"


async def ask(desk: Desk, key: str) -> tuple[str, bool]:
    """Ask for the payment to be taken back; return its run and whether it is new."""
    row, is_new = await compensation.ask(
        desk.store, key, by="lou", by_name="Lou", reason="It did stay."
    )
    return row.id, is_new


async def over(desk: Desk, run: str) -> None:
    ending = Ending(outcome="handed_off", reason="not taken back")
    await end.finish(desk.store, run, ending)


@both
async def test_p01_what_a_wrong_statement_voided_is_asked_for_again_once(
    desk: Desk,
) -> None:
    key = (await paid(desk)).key
    dead = await asked(desk, key)
    await late_failure.reopen(desk.store, key, BOUNCED)
    assert (await desk.lease(dead)).kind == "void"
    await over(desk, dead)
    await settled(desk, key, stayed=True)

    again = await asyncio.gather(*(ask(desk, key) for _ in range(4)))

    assert sum(is_new for _, is_new in again) == 1
    [run] = {run for run, _ in again}
    assert run != dead
    rows = await desk.rows(RunRow, compensates=key)
    assert {one.id for one in rows if one.let_go_at is None} == {run}
    assert await asked(desk, key) == run
    await desk.do(run)


@pytest.mark.parametrize("how", ["rejected", "expired"])
async def test_p08_what_was_not_approved_can_be_asked_for_again(
    desk: Desk, how: str
) -> None:
    key = (await paid(desk)).key
    dead, _ = await ask(desk, key)
    await desk.draft(dead, TAKE_BACK)
    if how == "rejected":
        await desk.decide(dead, "amy", "reject")
    else:
        desk.clock.go_on(timedelta(days=30))
        assert (await desk.lease(dead)).kind == "expired"
    assert await ask(desk, key) == (dead, False)
    await over(desk, dead)

    run, is_new = await ask(desk, key)

    assert (is_new, run == dead) == (True, False)


@pytest.mark.parametrize("outcome", ["done", "unknown", "failed"])
async def test_p02_what_was_sent_or_may_have_been_is_not_asked_for_again(
    desk: Desk, outcome: str
) -> None:
    key = (await paid(desk)).key
    run = await asked(desk, key)
    await desk.record(await desk.send(run), outcome)
    await over(desk, run)

    assert await ask(desk, key) == (run, False)


async def test_p14_it_acts_for_whom_it_was_done(desk: Desk) -> None:
    grant = await paid(desk)
    await desk.go_live(customer="text", contact="text")

    row, _ = await compensation.ask(
        desk.store, grant.key, by="lou", by_name="Lou", reason="Paid by mistake."
    )

    first = await desk.run(grant.key.partition(":")[0])
    assert (row.customer, row.contact) == (first.customer, first.contact)
    assert row.customer == "c1"


@pytest.mark.parametrize("is_settled", [False, True], ids=["reopened", "failed"])
async def test_p03_what_is_reopened_between_lease_and_sending_is_not_taken_back(
    desk: Desk, *, is_settled: bool
) -> None:
    key = (await paid(desk)).key
    run = await asked(desk, key)
    grant = await desk.granted(run)
    await late_failure.reopen(desk.store, key, BOUNCED)
    if is_settled:
        await settled(desk, key, stayed=False)

    may = await desk.begin(grant)

    assert not may.may_send
    assert f"{key}, is" in may.why
    desk.clock.go_on(timedelta(seconds=30))
    assert (await desk.lease(run, holder="h2")).kind == "void"
    assert (await desk.effect(grant.key)).sending_at is None


@both
async def test_p03_what_is_reopened_at_once_with_its_sending_comes_before_or_after(
    desk: Desk,
) -> None:
    key = (await paid(desk)).key
    grant = await desk.granted(await asked(desk, key))

    may, _ = await asyncio.gather(
        desk.begin(grant), late_failure.reopen(desk.store, key, BOUNCED)
    )

    effect, original = await desk.effect(grant.key), await desk.effect(key)
    assert (effect.status == "sending") == may.may_send
    assert original.reopened_at is not None
    if effect.sending_at is not None:
        assert effect.sending_at <= original.reopened_at
