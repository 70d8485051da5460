"""P9: time to answer is extended within bounds, warned of, and stands still in a pause."""

import asyncio
from datetime import timedelta

import pytest

from keyturn import Escalation
from keyturn.orchestrator.rules.errors import InvalidValue, NotFound
from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.store.approvals import claims, deadlines, extension
from keyturn.orchestrator.store.approvals.errors import (
    AlreadyDecided,
    Claimed,
    MayNotDecide,
    NoMoreTime,
)
from keyturn.orchestrator.store.effects import undo
from keyturn.orchestrator.store.runs import control
from keyturn.orchestrator.store.tables import ApprovalRow, AuditRow
from tests.databases import both
from tests.orchestrator.store.desk import Desk, person, refund

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WITHIN = 4 * HOUR
PAIRS = 20


async def waiting(desk: Desk, **more: object) -> ApprovalRow:
    run = await desk.start(**more)
    await desk.draft(run, refund())
    return await desk.approval(run, "pending")


async def extend(
    desk: Desk, row: ApprovalRow, by: timedelta = HOUR, who: str = "lea"
) -> ApprovalRow:
    return await extension.extend_by(
        desk.store, person(who), row.id, by=by, reason="the shop is closed"
    )


async def test_p09_a_lead_gives_more_time(desk: Desk) -> None:
    row = await waiting(desk)
    longer = await extend(desk, row)
    desk.clock.go_on(WITHIN)

    answer = await desk.lease(row.run)

    assert longer.answer_by == row.answer_by + HOUR
    assert (answer.kind, answer.until) == ("waiting", longer.answer_by)
    assert (await desk.answer(row, "approve", "amy")).status == "approved"
    [entry] = await desk.rows(AuditRow, kind="approval.extended")
    assert entry.actor == "lea"


async def test_p09_time_is_extended_so_often_and_so_far(desk: Desk) -> None:
    row = await waiting(desk)
    with pytest.raises(NoMoreTime, match="a week after it was requested"):
        await extend(desk, row, 7 * DAY)
    with pytest.raises(InvalidValue, match="later time"):
        await extend(desk, row, -HOUR)
    for _ in range(extension.MOST_EXTENSIONS):
        await extend(desk, row)

    with pytest.raises(NoMoreTime, match="3 times"):
        await extend(desk, row)


async def test_p09_an_undo_gives_no_extensions_back(desk: Desk) -> None:
    tools = tuple(spec.model_copy(update={"undo": HOUR}) for spec in desk.release.tools)
    await desk.go_live(tools=tools)
    row = await waiting(desk)
    for _ in range(extension.MOST_EXTENSIONS):
        await extend(desk, row)
    await desk.answer(row, "reject", "amy")

    fresh = await undo.undo(desk.store, person("amy"), row.id, "a slip")

    with pytest.raises(NoMoreTime):
        await extend(desk, fresh)


async def test_p08_who_may_not_extends_nothing(desk: Desk) -> None:
    row = await waiting(desk, started_by="lou")

    with pytest.raises(MayNotDecide, match="a lead can"):
        await extend(desk, row, who="amy")
    with pytest.raises(MayNotDecide, match="started"):
        await extend(desk, row, who="lou")
    stranger = person("eve", role="lead", tenant="other")
    with pytest.raises(NotFound):
        await extension.extend_by(desk.store, stranger, row.id, by=HOUR, reason="so")


@pytest.mark.parametrize("end", ["late", "decided", "cancelled"])
async def test_p09_what_has_ended_is_not_extended(desk: Desk, end: str) -> None:
    row = await waiting(desk)
    if end == "late":
        desk.clock.go_on(WITHIN)
    if end == "decided":
        await desk.answer(row, "reject", "amy")
    if end == "cancelled":
        await control.cancel(desk.store, row.run, by="lea", reason="so")

    with pytest.raises(AlreadyDecided):
        await extend(desk, row)


@both
async def test_p09_extending_and_running_out_at_once_have_one_outcome(
    desk: Desk,
) -> None:
    """Each pair meets at the deadline, some before and some after it."""
    seen = set[str]()
    for number in range(PAIRS):
        row = await waiting(desk, customer=f"c{number}")
        desk.clock.at = row.answer_by - timedelta(milliseconds=number % 10)

        longer, leased = await asyncio.gather(
            extend(desk, row), desk.lease(row.run), return_exceptions=True
        )

        assert not isinstance(leased, BaseException), leased
        status = (await desk.approval(row.run)).status
        assert status == ("pending" if leased.kind == "waiting" else "expired")
        if status == "expired":
            assert isinstance(longer, AlreadyDecided), longer
        seen.add(status)
    assert seen == {"pending", "expired"}


async def warned(desk: Desk) -> list[str | None]:
    await deadlines.warn(desk.store)
    found = await desk.rows(AuditRow, kind="approval.warned")
    assert all(one.to_notice for one in found)
    return [one.subject for one in found]


async def test_p09_people_are_warned_once_before_time_runs_out(desk: Desk) -> None:
    row = await waiting(desk)
    desk.clock.go_on(WITHIN * 0.74)
    assert await warned(desk) == []

    desk.clock.go_on(WITHIN * 0.01)

    assert await warned(desk) == [row.id]
    assert await warned(desk) == [row.id]


async def test_p09_more_time_is_warned_of_anew(desk: Desk) -> None:
    row = await waiting(desk)
    desk.clock.go_on(WITHIN * 0.75)
    await deadlines.warn(desk.store)

    await extend(desk, row, WITHIN)
    await deadlines.warn(desk.store)
    desk.clock.go_on(WITHIN)

    assert await warned(desk) == [row.id, row.id]


async def test_p09_each_step_of_a_chain_is_warned_of_in_its_own_time(
    desk: Desk,
) -> None:
    chain = (Escalation(role="lead", within=2 * DAY),)
    await desk.go_live(rules=(Rule("refund", approvers=1, escalate=chain),))
    row = await waiting(desk)
    await claims.claim(desk.store, person("amy"), row.id)
    desk.clock.go_on(WITHIN)
    await desk.lease(row.run)

    first = await warned(desk)
    desk.clock.go_on(2 * DAY * 0.76)
    second = await warned(desk)

    assert (first, second) == ([], [row.id])
    # A claim of before keeps nobody of the next role from deciding.
    assert (await desk.answer(row, "approve", "lea")).status == "approved"


async def test_p09_the_clock_of_a_stopped_run_stands_still(desk: Desk) -> None:
    row = await waiting(desk)
    desk.clock.go_on(HOUR)
    await control.pause(desk.store, row.run, by="lea", reason="look")
    desk.clock.go_on(365 * DAY)
    assert await warned(desk) == []
    assert (await desk.lease(row.run)).kind == "stopped"

    await control.resume(desk.store, row.run, by="lea", reason="fine")
    moved = await desk.approval(row.run)

    assert moved.status == "pending"
    left = moved.answer_by - desk.clock()
    assert timedelta(hours=2.99) < left <= 3 * HOUR
    desk.clock.go_on(2 * HOUR)
    assert await warned(desk) == [row.id]


async def test_p09_after_a_year_of_pause_a_decision_still_holds_its_day(
    desk: Desk,
) -> None:
    row = await waiting(desk)
    await control.pause(desk.store, row.run, by="lea", reason="look")
    desk.clock.go_on(365 * DAY)
    await control.resume(desk.store, row.run, by="lea", reason="fine")

    decided = await desk.answer(row, "approve", "amy")

    assert decided.usable_until is not None
    assert decided.usable_until - desk.clock() > timedelta(hours=23)
    await desk.granted(row.run)


async def test_p09_no_pause_lets_a_decision_outlive_a_week(desk: Desk) -> None:
    row = await waiting(desk)
    await desk.answer(row, "approve", "amy")
    await control.pause(desk.store, row.run, by="lea", reason="look")
    desk.clock.go_on(8 * DAY)
    await control.resume(desk.store, row.run, by="lea", reason="fine")

    answer = await desk.lease(row.run)

    fresh = await desk.approval(row.run)
    assert (answer.kind, fresh.status, fresh.revision) == ("waiting", "pending", 1)


async def test_p09_time_to_undo_stands_still_too(desk: Desk) -> None:
    tools = tuple(spec.model_copy(update={"undo": HOUR}) for spec in desk.release.tools)
    await desk.go_live(tools=tools)
    row = await waiting(desk)
    decided = await desk.answer(row, "approve", "amy")
    await control.pause(desk.store, row.run, by="lea", reason="look")
    desk.clock.go_on(2 * DAY)
    await control.resume(desk.store, row.run, by="lea", reason="fine")

    assert decided.undo_until is not None
    moved = await desk.approval(row.run)
    assert moved.undo_until is not None
    assert moved.undo_until - decided.undo_until >= 2 * DAY
    fresh = await undo.undo(desk.store, person("amy"), row.id, "a slip")
    assert fresh.status == "pending"


async def test_p09_a_claim_in_a_pause_ends_as_any_other(desk: Desk) -> None:
    row = await waiting(desk)
    await control.pause(desk.store, row.run, by="lea", reason="look")
    await claims.claim(desk.store, person("amy"), row.id)
    with pytest.raises(Claimed):
        await desk.answer(row, "approve", "bob")
    desk.clock.go_on(claims.LEASE)
    await control.resume(desk.store, row.run, by="lea", reason="fine")

    assert (await desk.answer(row, "approve", "bob")).status == "approved"
