"""A message to the customer waits for the actions of its turn, and falls with them."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import JsonValue

from keyturn.orchestrator.rules.money.budget import TURNS_PER_STEP
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.approvals import claims
from keyturn.orchestrator.store.approvals.errors import AlreadyDecided, WaitsForOthers
from keyturn.orchestrator.store.effects import (
    compensation,
    late_failure,
    resolution,
    send,
    undo,
)
from keyturn.orchestrator.store.effects.late_failure import Later
from keyturn.orchestrator.store.effects.resolution import Resolution
from keyturn.orchestrator.store.ledger.effects import Grant, Outcome
from keyturn.orchestrator.store.runs import messages
from keyturn.orchestrator.store.tables import ApprovalRow, CallRow, OutboxRow, StepRow
from keyturn.orchestrator.store.turns.turn import DraftedCall
from tests.orchestrator.store.desk import Desk, mail, note, person, refund

MAIL = 1
BOUNCED = Later(
    how="reversed", words="It came back.", by="system", by_name="the statement"
)


async def test_a_mail_is_offered_once_what_it_speaks_of_is_done(desk: Desk) -> None:
    run = await _drafted(desk)
    waiting = await _mail(desk, run)
    with pytest.raises(WaitsForOthers, match=r"waits for refund \(run-.*:1\.0\)"):
        await desk.answer(waiting, "approve")

    await desk.decide(run)
    with pytest.raises(WaitsForOthers):
        await desk.answer(waiting, "approve", "bob")
    await desk.do(run)
    looked = await desk.lease(run, index=MAIL)

    offered = await _mail(desk, run)
    assert (waiting.status, offered.status) == ("waiting", "pending")
    assert (looked.kind, looked.until) == ("waiting", offered.answer_by)
    assert offered.answer_by > waiting.answer_by
    await desk.decide(run)
    assert (await desk.lease(run, index=MAIL)).kind == "leased"


@pytest.mark.parametrize("decision", ["reject", "change"])
async def test_a_mail_is_void_at_once_when_its_action_is_answered_with_no(
    desk: Desk, decision: str
) -> None:
    run = await _drafted(desk)
    await desk.decide(run, decision=decision)

    await desk.lease(run)

    await _is_void(desk, run)


async def test_a_mail_is_void_at_once_when_its_action_fails(desk: Desk) -> None:
    run = await _drafted(desk)
    await desk.decide(run)
    grant = await desk.send(run)

    await desk.record(grant, "failed", "The card is closed.")

    await _is_void(desk, run)


async def test_a_mail_is_void_at_once_when_its_action_expires(desk: Desk) -> None:
    run = await _drafted(desk)
    row = next(one for one in await _all(desk, run) if one.tool == "refund")
    desk.clock.at = row.answer_by

    await desk.lease(run)

    await _is_void(desk, run)


async def test_a_mail_is_void_at_once_when_its_action_cannot_be_prepared(
    desk: Desk,
) -> None:
    run = await _drafted(desk)

    await desk.give_up(run, "There is no such order.")

    await _is_void(desk, run)


async def test_a_mail_is_void_at_once_though_another_action_still_waits(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund(), mail(MAIL), refund(60_00, index=2, order="o2"))
    row = next(one for one in await _all(desk, run) if one.index == 0)
    await desk.answer(row, "reject")

    await desk.lease(run)

    await _is_void(desk, run)
    assert (await desk.call(run, index=2)).status == "open"


async def test_a_mail_whose_action_policy_denies_is_not_asked_about(
    desk: Desk,
) -> None:
    run = await desk.start()

    gated = await desk.draft(run, mail(0), refund(9_000_00, index=1))

    call = await desk.call(run)
    assert [one.gate for one in gated] == ["denied", "denied"]
    assert (call.status, await _all(desk, run)) == ("void", [])
    assert "refund of the same turn was not done" in (call.result or "")


async def test_a_mail_beside_an_action_that_needs_nobody_waits_for_it_too(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, note(0), mail(MAIL))
    before = await desk.lease(run, index=MAIL)
    waiting = await _mail(desk, run)

    await desk.do(run, preview="{}")
    await desk.lease(run, index=MAIL)

    assert (before.kind, waiting.status) == ("waiting", "waiting")
    assert (await _mail(desk, run)).status == "pending"


@pytest.mark.parametrize("held", ["unknown", "halt", "disable"])
async def test_a_mail_waits_while_its_action_is_unknown_or_held(
    desk: Desk, held: str
) -> None:
    run = await _drafted(desk)
    await desk.decide(run)
    if held == "unknown":
        await desk.record(await desk.send(run), "unknown", "cut off")
    else:
        await desk.switch(held, tool="refund")
        await desk.lease(run)

    await desk.lease(run, index=MAIL)

    waiting = await _mail(desk, run)
    assert waiting.status == "waiting"
    with pytest.raises(WaitsForOthers):
        await desk.answer(waiting, "approve")


async def test_a_mail_is_void_where_a_person_changed_its_action(desk: Desk) -> None:
    run = await _drafted(desk)
    less = {
        "order_id": "o1",
        "amount": {"amount": 40_00, "currency": "USD"},
        "reason": "late",
    }
    await desk.decide(run, arguments=less)

    await desk.do(run)

    await _is_void(desk, run)


async def test_a_mail_alone_is_offered_at_once(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, mail(0))

    assert (await desk.approval(run)).status == "pending"


async def test_no_is_heard_while_a_mail_waits(desk: Desk) -> None:
    run = await _drafted(desk)

    row = await desk.answer(await _mail(desk, run), "reject", "bob")

    assert row.status == "rejected"
    assert (await desk.lease(run, index=MAIL)).kind == "rejected"


async def test_a_mail_that_was_answered_with_no_is_not_asked_for_again(
    desk: Desk,
) -> None:
    """What it speaks of ends otherwise before its run has heard the no."""
    run = await _drafted(desk)
    await desk.answer(await _mail(desk, run), "reject", "bob")
    await desk.decide(run, decision="reject")

    await desk.lease(run)

    assert (await desk.lease(run, index=MAIL)).kind == "rejected"
    assert "Write it again" not in ((await desk.call(run, index=MAIL)).result or "")


async def test_nobody_claims_a_mail_that_waits(desk: Desk) -> None:
    run = await _drafted(desk)

    with pytest.raises(AlreadyDecided):
        await claims.claim(desk.store, person("amy"), (await _mail(desk, run)).id)


async def test_a_stricter_policy_applies_when_the_mail_is_offered(desk: Desk) -> None:
    run = await _drafted(desk)
    await desk.decide(run)
    await desk.do(run)
    rules = (Rule("write_mail", approvers=2, role="lead"),)
    await desk.go_live(rules=(*desk.release.rules[:3], *rules))

    await desk.lease(run, index=MAIL)

    assert (await desk.approval(run, "pending")).needed == 2


async def test_a_run_whose_mail_waits_for_an_action_alone_is_not_waiting_for_people(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, note(0), mail(MAIL))

    assert (await desk.run(run)).status == "running"


@pytest.mark.parametrize(
    ("when", "turn"), [("offered", 1), ("approved", 2), ("leased", 1)]
)
async def test_a_mail_is_void_at_once_when_what_it_speaks_of_fails_later(
    desk: Desk, when: str, turn: int
) -> None:
    run = await desk.start()
    key = await _refunded(desk, run, turn=turn)
    place: dict[str, Any] = {"turn": turn, "index": 0 if turn == 2 else MAIL}
    await desk.lease(run, **place)
    if when != "offered":
        await desk.decide(run)
    grant = await desk.granted(run, **place) if when == "leased" else None

    await late_failure.reopen(desk.store, key, BOUNCED)

    row, call = await _mail(desk, run), await desk.call(run, **place)
    assert (row.status, call.status) == ("void", "void")
    assert "refund" in (row.closed_because or "")
    assert grant is None or not (await desk.begin(grant)).may_send
    assert (await desk.lease(run, holder="h2", **place)).kind == "void"


async def test_a_mail_that_is_being_sent_is_left_to_its_outcome(desk: Desk) -> None:
    run = await desk.start()
    key = await _refunded(desk, run)
    await desk.lease(run, index=MAIL)
    await desk.decide(run)
    grant = await desk.send(run, index=MAIL)

    await late_failure.reopen(desk.store, key, BOUNCED)

    assert (await desk.call(run, index=MAIL)).status == "open"
    assert await desk.record(grant, "done") == "done"


@pytest.mark.parametrize("is_settled", [False, True], ids=["reopened", "failed"])
async def test_a_mail_whose_model_was_not_told_that_it_failed_is_void_however_late(
    desk: Desk, *, is_settled: bool
) -> None:
    """The refund was all of its turn: nothing was void when it failed."""
    run = await desk.start()
    key = await _done(desk, run)
    await late_failure.reopen(desk.store, key, BOUNCED)
    if is_settled:
        await _find_out(desk, key, stayed=False)

    gated = await desk.draft(run, mail(0), turn=2)

    call = await desk.call(run, 2)
    assert ([one.gate for one in gated], call.status) == (["denied"], "void")
    assert "refund of turn 1 (its call 1) was done and failed later" in (
        call.result or ""
    )
    await desk.draft(run, mail(0), turn=3)
    offered = "pending" if is_settled else "waiting"
    assert (await desk.approval(run)).status == offered
    assert (await desk.lease(run, turn=3)).kind == "waiting"


async def test_a_mail_waits_until_somebody_found_out_whether_it_stayed_done(
    desk: Desk,
) -> None:
    run, key = await _told_that_it_failed(desk)
    row = await desk.approval(run)
    with pytest.raises(WaitsForOthers, match="said to have failed since"):
        await desk.answer(row, "approve")

    await _find_out(desk, key, stayed=False)

    assert "wake" in [one.kind for one in await desk.rows(OutboxRow, run=run)]
    assert (await desk.lease(run, turn=3)).kind == "waiting"
    assert (await desk.approval(run)).status == "pending"
    await desk.decide(run)
    assert (await desk.lease(run, turn=3)).kind == "leased"


async def test_a_mail_that_says_it_failed_is_void_where_it_stayed_done(
    desk: Desk,
) -> None:
    """Its model reads so once, in whatever step it writes again."""
    run, key = await _told_that_it_failed(desk)

    await _find_out(desk, key, stayed=True)

    call = await desk.call(run, 3)
    assert (call.status, (await desk.approval(run)).status) == ("void", "void")
    assert "said to have failed later, and stayed done" in (call.result or "")
    await _begin_step(desk, run)
    await desk.draft(run, mail(0), turn=TURNS_PER_STEP + 1)
    assert (await desk.approval(run)).status == "pending"


async def test_a_mail_of_a_later_step_is_void_where_its_model_reads_the_failure(
    desk: Desk,
) -> None:
    run, key = await _told_that_it_failed(desk)
    await desk.answer(await desk.approval(run), "reject")
    await desk.lease(run, turn=3)
    await _find_out(desk, key, stayed=True)

    await desk.draft(run, mail(0), turn=TURNS_PER_STEP + 1)
    await desk.draft(run, mail(0), turn=TURNS_PER_STEP + 2)

    first = await desk.call(run, TURNS_PER_STEP + 1)
    assert "stayed done" in (first.result or "")
    assert (await desk.approval(run)).status == "pending"


async def test_what_a_step_beside_it_was_told_is_not_told_to_a_mails_model(
    desk: Desk,
) -> None:
    """Two steps go on at once: both models read that it failed, then it stayed."""
    run, key = await _told_that_it_failed(desk)
    await _begin_step(desk, run)
    desk.clock.go_on(timedelta(seconds=1))
    await desk.draft(run, mail(0), turn=TURNS_PER_STEP + 1)
    await desk.draft(run, mail(0), turn=TURNS_PER_STEP + 2)

    await _find_out(desk, key, stayed=True)

    for turn in (3, TURNS_PER_STEP + 2):
        call = await desk.call(run, turn)
        assert (call.status, "stayed done" in (call.result or "")) == ("void", True)


async def test_p10_what_the_customer_writes_is_read_though_a_mail_waits(
    desk: Desk,
) -> None:
    run, _ = await _told_that_it_failed(desk)

    await messages.customer_wrote(
        desk.store, run, text="Thanks!", external_id=None, by="amy"
    )

    assert (await desk.lease(run, turn=3)).kind == "void"
    assert "customer wrote again" in ((await desk.call(run, 3)).result or "")


@pytest.mark.parametrize("is_known", [True, False], ids=["failed", "unknown"])
async def test_a_mail_waits_while_what_it_speaks_of_is_being_taken_back(
    desk: Desk, *, is_known: bool
) -> None:
    """Its model was told that it was taken back, and then it was not."""
    run, back = await _being_taken_back(desk)
    if not is_known:
        await desk.record(back, "unknown", "time-out")
    await desk.draft(run, mail(0), turn=2)
    await desk.draft(run, mail(0), turn=3)
    row = await desk.approval(run)
    with pytest.raises(WaitsForOthers, match="is being taken back"):
        await desk.answer(row, "approve")

    if is_known:
        await desk.record(back, "failed", "The card is closed.")
    else:
        desk.clock.go_on(timedelta(minutes=5))
        await _find_out(desk, back.key, stayed=False)

    call = await desk.call(run, 3)
    assert call.status == "void"
    assert "was said to be taken back, and was not" in (call.result or "")
    assert "wake" in [one.kind for one in await desk.rows(OutboxRow, run=run)]


async def test_a_mail_is_void_where_what_was_taken_back_was_not_after_all(
    desk: Desk,
) -> None:
    run, back = await _being_taken_back(desk)
    await desk.record(back, "done")
    await desk.draft(run, mail(0), turn=2)
    await desk.draft(run, mail(0), turn=3)
    assert (await desk.approval(run)).status == "pending"

    await desk.decide(run)
    leased = await desk.granted(run, turn=3)
    await late_failure.reopen(desk.store, back.key, BOUNCED)
    assert not (await desk.begin(leased)).may_send
    await _find_out(desk, back.key, stayed=False)

    call = await desk.call(run, 3)
    assert (call.status, "and was not" in (call.result or "")) == ("void", True)


async def test_an_undone_no_does_not_offer_what_is_untrue_by_now(desk: Desk) -> None:
    tools = tuple(
        one.model_copy(update={"undo": timedelta(minutes=1)})
        for one in desk.release.tools
    )
    await desk.go_live(tools=tools)
    run = await _drafted(desk)
    no = await desk.answer(await _mail(desk, run), "reject", "bob")
    await desk.decide(run, decision="reject")
    desk.clock.go_on(timedelta(seconds=30))

    await undo.undo(desk.store, person("bob"), no.id, "Mistake.")

    desk.clock.go_on(timedelta(minutes=2))
    await desk.lease(run)
    assert (await _mail(desk, run)).status == "void"


async def test_a_mail_after_what_stayed_done_after_all_is_offered(desk: Desk) -> None:
    run = await desk.start()
    key = await _done(desk, run)
    await late_failure.reopen(desk.store, key, BOUNCED)
    await _find_out(desk, key, stayed=True)

    await desk.draft(run, mail(0), turn=2)

    assert (await desk.approval(run)).status == "pending"


async def test_to_be_told_that_one_failed_is_not_to_be_told_of_another(
    desk: Desk,
) -> None:
    run = await desk.start()
    first, second = await _done(desk, run), await _done(desk, run, turn=2, order="o2")
    await late_failure.reopen(desk.store, first, BOUNCED)
    await desk.draft(run, mail(0), turn=3)

    await late_failure.reopen(desk.store, second, BOUNCED)
    await desk.draft(run, mail(0), turn=4)

    result = (await desk.call(run, 4)).result or ""
    assert "refund of turn 2" in result
    assert "refund of turn 1" not in result


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_mail_that_says_it_failed_is_void_when_its_receipt_comes(
    desk: Desk, when: str
) -> None:
    """Recorded as not done, told so, and done after all: by its own late receipt."""
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.decide(run)
    grant = await desk.send(run)
    absent = Outcome(kind="failed", words="not there")
    await send.record(desk.store, grant, absent, recorded_by="reconcile")
    if when == "after":
        await desk.draft(run, mail(0), turn=2)
        await desk.lease(run, turn=2)

    assert await desk.record(grant, "done") == "done"
    if when == "before":
        await desk.draft(run, mail(0), turn=2)

    call = await desk.call(run, 2)
    words = "refund of turn 1 (its call 1) was said to have failed and was done"
    assert call.status == "void"
    assert words in (call.result or "")
    await desk.draft(run, mail(0), turn=3)
    assert (await desk.approval(run, "pending")).turn == 3


async def test_a_mail_after_what_was_taken_back_unknown_to_its_model_is_void(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, _payment())
    await _take_back(desk, (await desk.do(run, preview="{}")).key)

    await desk.draft(run, mail(0), turn=2)

    assert "pay of turn 1 (its call 1) was taken back" in (
        (await desk.call(run, 2)).result or ""
    )


async def test_a_mail_of_a_model_that_was_told_that_it_failed_is_offered(
    desk: Desk,
) -> None:
    run = await desk.start()
    key = await _refunded(desk, run)
    await desk.lease(run, index=MAIL)
    await late_failure.reopen(desk.store, key, BOUNCED)

    await desk.draft(run, mail(0), turn=2)

    assert (await desk.approval(run)).status == "waiting"
    await _find_out(desk, key, stayed=False)
    assert (await desk.lease(run, turn=2)).kind == "waiting"
    assert (await desk.approval(run)).status == "pending"


@pytest.mark.parametrize("when", ["offered", "leased"])
async def test_a_mail_is_void_when_what_it_speaks_of_is_taken_back(
    desk: Desk, when: str
) -> None:
    run = await desk.start()
    await desk.draft(run, _payment(), mail(MAIL))
    key = (await desk.do(run, preview="{}")).key
    await desk.lease(run, index=MAIL)
    if when == "leased":
        await desk.decide(run)
    grant = await desk.granted(run, index=MAIL) if when == "leased" else None

    await _take_back(desk, key)

    row = await _mail(desk, run)
    call = await desk.call(run, index=MAIL)
    assert (row.status, call.status) == ("void", "void")
    assert "pay" in (row.closed_because or "")
    assert grant is None or not (await desk.begin(grant)).may_send


@pytest.mark.parametrize("decision", ["reject", "change"])
async def test_an_undone_no_to_a_mail_that_waits_offers_it_no_sooner(
    desk: Desk, decision: str
) -> None:
    run = await _drafted(desk)
    row = await desk.answer(await _mail(desk, run), decision, "bob")
    await desk.tamper(row, undo_until=row.answer_by)

    fresh = await undo.undo(desk.store, person("bob"), row.id, "a slip")

    assert fresh.status == "waiting"
    with pytest.raises(WaitsForOthers):
        await desk.answer(fresh, "approve")
    await desk.decide(run)
    await desk.do(run)
    await desk.lease(run, index=MAIL)
    assert (await _mail(desk, run)).status == "pending"


async def _refunded(desk: Desk, run: str, *, turn: int = 1) -> str:
    """Carry out a refund with a mail of the same turn or the next; return its key."""
    await desk.draft(run, *([refund(), mail(MAIL)] if turn == 1 else [refund()]))
    await desk.decide(run)
    grant = await desk.do(run)
    if turn > 1:
        await desk.draft(run, mail(0), turn=turn)
    return grant.key


async def _done(desk: Desk, run: str, *, turn: int = 1, order: str = "o1") -> str:
    """Carry out a refund that is all of its turn; return its key."""
    await desk.draft(run, refund(order=order), turn=turn)
    await desk.decide(run)
    return (await desk.do(run, turn=turn)).key


async def _being_taken_back(desk: Desk) -> tuple[str, Grant]:
    """Pay, and begin to take that back; return the run that paid, and what it sends."""
    run = await desk.start()
    await desk.draft(run, _payment())
    key = (await desk.do(run, preview="{}")).key
    return run, await desk.send(await _ask_back(desk, key))


async def _begin_step(desk: Desk, run: str, step: int = 2) -> None:
    async with desk.store.write() as session:
        now = await desk.store.now(session)
        session.add(StepRow(run=run, step=step, name="", kind="ask", created_at=now))


async def _told_that_it_failed(desk: Desk) -> tuple[str, str]:
    """Reopen a refund; draft a mail whose model was told so. Return run and effect."""
    run = await desk.start()
    key = await _done(desk, run)
    await late_failure.reopen(desk.store, key, BOUNCED)
    await desk.draft(run, mail(0), turn=2)
    await desk.draft(run, mail(0), turn=3)
    assert (await desk.approval(run)).status == "waiting"
    return run, key


async def _find_out(desk: Desk, key: str, *, stayed: bool) -> None:
    found = Resolution(
        happened=stayed, evidence="Ticket B-7", person="lea", person_name="Lea"
    )
    await resolution.resolve(desk.store, key, found)


def _payment() -> DraftedCall:
    amount: JsonValue = {"amount": 50_00, "currency": "USD"}
    arguments: JsonValue = {"order_id": "o1", "amount": amount}
    return DraftedCall(
        index=0,
        tool="pay",
        provider_id="call_1",
        arguments=canonical.text(arguments),
        money=Money(50_00, "USD"),
    )


async def _take_back(desk: Desk, key: str) -> None:
    await desk.do(await _ask_back(desk, key))


async def _ask_back(desk: Desk, key: str) -> str:
    """Ask for a payment to be taken back, and approve it; return its run."""
    row, _ = await compensation.ask(
        desk.store, key, by="lou", by_name="Lou", reason="Paid by mistake."
    )
    arguments = canonical.text({"order_id": "o1", "receipt": "r-1"})
    drafted = DraftedCall(
        index=0, tool="take_back", provider_id="compensate", arguments=arguments
    )
    await desk.draft(row.id, drafted)
    await desk.decide(row.id)
    return row.id


async def _drafted(desk: Desk) -> str:
    run = await desk.start()
    await desk.draft(run, refund(), mail(MAIL))
    return run


async def _mail(desk: Desk, run: str) -> ApprovalRow:
    rows = [one for one in await _all(desk, run) if one.tool == "write_mail"]
    return max(rows, key=lambda one: one.revision)


async def _all(desk: Desk, run: str) -> list[ApprovalRow]:
    return await desk.rows(ApprovalRow, run=run)


async def _is_void(desk: Desk, run: str) -> None:
    """The mail is void before the worker has looked at it; the model is told why."""
    row = await _mail(desk, run)
    (call,) = await desk.rows(CallRow, run=run, tool="write_mail")
    assert (row.status, call.status) == ("void", "void")
    assert "refund" in (row.closed_because or "")
    assert "Write it again" in (call.result or "")
    assert (await desk.lease(run, index=MAIL)).kind == "void"
