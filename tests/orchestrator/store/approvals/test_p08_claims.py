"""P8: a claim keeps others from deciding, for as long as somebody is there."""

import asyncio
from datetime import timedelta

import pytest

from keyturn.orchestrator.rules.errors import InvalidValue, NotFound
from keyturn.orchestrator.store.approvals import claims, listing
from keyturn.orchestrator.store.approvals.errors import (
    AlreadyDecided,
    Claimed,
    MayNotDecide,
)
from keyturn.orchestrator.store.approvals.queue_filter import Filter
from keyturn.orchestrator.store.runs import control
from keyturn.orchestrator.store.tables import ApprovalRow
from tests.databases import both
from tests.orchestrator.store.desk import Desk, person, refund

PAIRS = 25


async def waiting(desk: Desk, **more: object) -> ApprovalRow:
    run = await desk.start(**more)
    await desk.draft(run, refund())
    return await desk.approval(run, "pending")


async def test_p08_what_somebody_holds_nobody_else_decides(desk: Desk) -> None:
    row = await waiting(desk)

    held = await claims.claim(desk.store, person("amy"), row.id)

    with pytest.raises(Claimed, match="Amy until 2030-01-01 12:05") as refused:
        await desk.answer(row, "approve", "bob")
    assert (refused.value.claimed_by, refused.value.until) == ("amy", held.claim_until)
    assert (await desk.answer(row, "approve", "amy")).status == "approved"


async def test_a_claim_lasts_five_minutes_and_frees_by_itself(desk: Desk) -> None:
    row = await waiting(desk)
    await claims.claim(desk.store, person("amy"), row.id)

    desk.clock.go_on(claims.LEASE)

    assert (await desk.answer(row, "approve", "bob")).status == "approved"


async def test_a_heartbeat_keeps_a_claim_and_says_nothing_new(desk: Desk) -> None:
    row = await waiting(desk)
    for _ in range(3):
        await claims.claim(desk.store, person("amy"), row.id)
        desk.clock.go_on(timedelta(minutes=4))

    with pytest.raises(Claimed):
        await claims.claim(desk.store, person("bob"), row.id)
    assert (await desk.audit(row.run)).count("approval.claimed") == 1


async def test_a_claim_that_is_given_up_is_free(desk: Desk) -> None:
    row = await waiting(desk)
    await claims.claim(desk.store, person("amy"), row.id)
    with pytest.raises(Claimed):
        await claims.unclaim(desk.store, person("bob"), row.id)

    await claims.unclaim(desk.store, person("amy"), row.id)
    await claims.unclaim(desk.store, person("amy"), row.id)

    assert (await desk.answer(row, "approve", "bob")).status == "approved"
    assert (await desk.audit(row.run)).count("approval.unclaimed") == 1


async def test_a_claim_is_taken_over_with_a_reason_from_whom_it_was_seen(
    desk: Desk,
) -> None:
    row = await waiting(desk)
    await claims.claim(desk.store, person("amy"), row.id)
    with pytest.raises(InvalidValue, match="reason"):
        await claims.claim(desk.store, person("bob"), row.id, take_over="amy")

    await claims.claim(
        desk.store, person("bob"), row.id, take_over="amy", reason="she is at lunch"
    )

    with pytest.raises(Claimed, match="Bob"):
        await desk.answer(row, "approve", "amy")
    # Lea saw Amy's claim, too, and finds Bob's.
    with pytest.raises(Claimed, match="Bob"):
        await claims.claim(
            desk.store, person("lea"), row.id, take_over="amy", reason="late"
        )
    assert "approval.taken_over" in await desk.audit(row.run)


async def test_p08_who_may_not_decide_claims_nothing(desk: Desk) -> None:
    row = await waiting(desk, started_by="amy")
    new = person("bob", approves_from=desk.clock() + timedelta(days=1))

    with pytest.raises(MayNotDecide, match="started"):
        await claims.claim(desk.store, person("amy"), row.id)
    with pytest.raises(MayNotDecide, match="a new approver"):
        await claims.claim(desk.store, new, row.id)
    with pytest.raises(MayNotDecide, match="role"):
        await claims.claim(desk.store, person("aud", role="auditor"), row.id)
    with pytest.raises(MayNotDecide, match="service"):
        await claims.claim(desk.store, person("bot", kind="service"), row.id)
    with pytest.raises(NotFound):
        await claims.claim(desk.store, person("eve", tenant="other"), row.id)


async def test_what_is_decided_is_claimed_by_nobody(desk: Desk) -> None:
    row = await waiting(desk)
    await claims.claim(desk.store, person("amy"), row.id)
    await desk.answer(row, "reject", "amy")

    with pytest.raises(AlreadyDecided):
        await claims.claim(desk.store, person("bob"), row.id)
    assert (await desk.approval(row.run)).claimed_by is None


async def test_p08_whose_yes_is_given_holds_up_no_second_one(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund(600_00))
    row = await desk.approval(run, "pending")
    await claims.claim(desk.store, person("lea"), row.id)
    await desk.answer(row, "approve", "lea")

    with pytest.raises(AlreadyDecided):
        await claims.claim(desk.store, person("lea"), row.id)
    await claims.claim(desk.store, person("lou"), row.id)


async def test_a_pause_does_not_lengthen_a_claim(desk: Desk) -> None:
    row = await waiting(desk)
    await claims.claim(desk.store, person("amy"), row.id)
    await control.pause(desk.store, row.run, by="lea", reason="look")
    desk.clock.go_on(timedelta(days=1))

    await control.resume(desk.store, row.run, by="lea", reason="fine")
    await desk.lease(row.run)

    assert (await desk.answer(row, "approve", "bob")).status == "approved"


@both
async def test_two_who_claim_at_once_have_one_winner(desk: Desk) -> None:
    for number in range(PAIRS):
        row = await waiting(desk, customer=f"c{number}")

        found = await asyncio.gather(
            *(claims.claim(desk.store, person(n), row.id) for n in ("amy", "bob")),
            return_exceptions=True,
        )

        [won] = [one for one in found if isinstance(one, ApprovalRow)]
        [lost] = [one for one in found if isinstance(one, Claimed)]
        assert lost.claimed_by == won.claimed_by


@both
async def test_p08_claim_and_decision_at_once_leave_no_claimed_decision(
    desk: Desk,
) -> None:
    for number in range(PAIRS):
        row = await waiting(desk, customer=f"c{number}")

        claimed, decided = await asyncio.gather(
            claims.claim(desk.store, person("amy"), row.id),
            desk.answer(row, "approve", "bob"),
            return_exceptions=True,
        )

        if isinstance(decided, ApprovalRow):
            assert isinstance(claimed, AlreadyDecided), claimed
        else:
            assert isinstance(decided, Claimed), decided
            assert isinstance(claimed, ApprovalRow), claimed


@both
async def test_p08_taking_over_and_deciding_at_once_have_one_outcome(
    desk: Desk,
) -> None:
    for number in range(PAIRS):
        row = await waiting(desk, customer=f"c{number}")
        await claims.claim(desk.store, person("amy"), row.id)

        taken, decided = await asyncio.gather(
            claims.claim(
                desk.store, person("bob"), row.id, take_over="amy", reason="race"
            ),
            desk.answer(row, "approve", "amy"),
            return_exceptions=True,
        )

        if isinstance(decided, ApprovalRow):
            assert isinstance(taken, AlreadyDecided), taken
        else:
            assert isinstance(decided, Claimed), decided
            assert decided.claimed_by == "bob"


async def test_a_queue_shows_what_is_held_by_whom(desk: Desk) -> None:
    rows = [await waiting(desk, customer=f"c{number}") for number in range(3)]
    await claims.claim(desk.store, person("amy"), rows[0].id)
    await claims.claim(desk.store, person("bob"), rows[1].id)

    async def listed(claim: str) -> list[str]:
        wanted = Filter.model_validate({"claim": claim, "person": person("amy")})
        async with desk.store.read() as session:
            await session.read_clock()
            found = await listing.listing(session, wanted)
        return [one.id for one in found]

    assert await listed("mine") == [rows[0].id]
    assert await listed("claimed") == [rows[0].id, rows[1].id]
    assert await listed("unclaimed") == [rows[2].id]
    desk.clock.go_on(claims.LEASE)
    assert await listed("claimed") == []
