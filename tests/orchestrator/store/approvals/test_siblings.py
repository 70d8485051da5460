"""A message to the customer waits for the actions of its turn, and falls with them."""

from datetime import timedelta

import pytest

from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.store.approvals import claims
from keyturn.orchestrator.store.approvals.errors import AlreadyDecided, WaitsForOthers
from keyturn.orchestrator.store.effects import undo
from tests.orchestrator.store.approvals import sibling_mail
from tests.orchestrator.store.approvals.sibling_mail import MAIL
from tests.orchestrator.store.desk import Desk, mail, note, person, refund


async def test_a_mail_is_offered_once_what_it_speaks_of_is_done(desk: Desk) -> None:
    run = await sibling_mail.drafted(desk)
    waiting = await sibling_mail.mail_of(desk, run)
    with pytest.raises(WaitsForOthers, match=r"waits for refund \(run-.*:1\.0\)"):
        await desk.answer(waiting, "approve")

    await desk.decide(run)
    with pytest.raises(WaitsForOthers):
        await desk.answer(waiting, "approve", "bob")
    await desk.do(run)
    looked = await desk.lease(run, index=MAIL)

    offered = await sibling_mail.mail_of(desk, run)
    assert (waiting.status, offered.status) == ("waiting", "pending")
    assert (looked.kind, looked.until) == ("waiting", offered.answer_by)
    assert offered.answer_by > waiting.answer_by
    await desk.decide(run)
    assert (await desk.lease(run, index=MAIL)).kind == "leased"


@pytest.mark.parametrize("decision", ["reject", "change"])
async def test_a_mail_is_void_at_once_when_its_action_is_answered_with_no(
    desk: Desk, decision: str
) -> None:
    run = await sibling_mail.drafted(desk)
    await desk.decide(run, decision=decision)

    await desk.lease(run)

    await sibling_mail.is_void(desk, run)


async def test_a_mail_is_void_at_once_when_its_action_fails(desk: Desk) -> None:
    run = await sibling_mail.drafted(desk)
    await desk.decide(run)
    grant = await desk.send(run)

    await desk.record(grant, "failed", "The card is closed.")

    await sibling_mail.is_void(desk, run)


async def test_a_mail_is_void_at_once_when_its_action_expires(desk: Desk) -> None:
    run = await sibling_mail.drafted(desk)
    row = next(
        one for one in await sibling_mail.approvals(desk, run) if one.tool == "refund"
    )
    desk.clock.at = row.answer_by

    await desk.lease(run)

    await sibling_mail.is_void(desk, run)


async def test_a_mail_is_void_at_once_when_its_action_cannot_be_prepared(
    desk: Desk,
) -> None:
    run = await sibling_mail.drafted(desk)

    await desk.give_up(run, "There is no such order.")

    await sibling_mail.is_void(desk, run)


async def test_a_mail_is_void_at_once_though_another_action_still_waits(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund(), mail(MAIL), refund(60_00, index=2, order="o2"))
    row = next(one for one in await sibling_mail.approvals(desk, run) if one.index == 0)
    await desk.answer(row, "reject")

    await desk.lease(run)

    await sibling_mail.is_void(desk, run)
    assert (await desk.call(run, index=2)).status == "open"


async def test_a_mail_whose_action_policy_denies_is_not_asked_about(
    desk: Desk,
) -> None:
    run = await desk.start()

    gated = await desk.draft(run, mail(0), refund(9_000_00, index=1))

    call = await desk.call(run)
    assert [one.gate for one in gated] == ["denied", "denied"]
    assert (call.status, await sibling_mail.approvals(desk, run)) == ("void", [])
    assert "refund of the same turn was not done" in (call.result or "")


async def test_a_mail_beside_an_action_that_needs_nobody_waits_for_it_too(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, note(0), mail(MAIL))
    before = await desk.lease(run, index=MAIL)
    waiting = await sibling_mail.mail_of(desk, run)

    await desk.do(run, preview="{}")
    await desk.lease(run, index=MAIL)

    assert (before.kind, waiting.status) == ("waiting", "waiting")
    assert (await sibling_mail.mail_of(desk, run)).status == "pending"


@pytest.mark.parametrize("held", ["unknown", "halt", "disable"])
async def test_a_mail_waits_while_its_action_is_unknown_or_held(
    desk: Desk, held: str
) -> None:
    run = await sibling_mail.drafted(desk)
    await desk.decide(run)
    if held == "unknown":
        await desk.record(await desk.send(run), "unknown", "cut off")
    else:
        await desk.switch(held, tool="refund")
        await desk.lease(run)

    await desk.lease(run, index=MAIL)

    waiting = await sibling_mail.mail_of(desk, run)
    assert waiting.status == "waiting"
    with pytest.raises(WaitsForOthers):
        await desk.answer(waiting, "approve")


async def test_a_mail_is_void_where_a_person_changed_its_action(desk: Desk) -> None:
    run = await sibling_mail.drafted(desk)
    less = {
        "order_id": "o1",
        "amount": {"amount": 40_00, "currency": "USD"},
        "reason": "late",
    }
    await desk.decide(run, arguments=less)

    await desk.do(run)

    await sibling_mail.is_void(desk, run)


async def test_a_mail_alone_is_offered_at_once(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, mail(0))

    assert (await desk.approval(run)).status == "pending"


async def test_no_is_heard_while_a_mail_waits(desk: Desk) -> None:
    run = await sibling_mail.drafted(desk)

    row = await desk.answer(await sibling_mail.mail_of(desk, run), "reject", "bob")

    assert row.status == "rejected"
    assert (await desk.lease(run, index=MAIL)).kind == "rejected"


async def test_a_mail_that_was_answered_with_no_is_not_asked_for_again(
    desk: Desk,
) -> None:
    """What it speaks of ends otherwise before its run has heard the no."""
    run = await sibling_mail.drafted(desk)
    await desk.answer(await sibling_mail.mail_of(desk, run), "reject", "bob")
    await desk.decide(run, decision="reject")

    await desk.lease(run)

    assert (await desk.lease(run, index=MAIL)).kind == "rejected"
    assert "Write it again" not in ((await desk.call(run, index=MAIL)).result or "")


async def test_nobody_claims_a_mail_that_waits(desk: Desk) -> None:
    run = await sibling_mail.drafted(desk)

    with pytest.raises(AlreadyDecided):
        await claims.claim(
            desk.store, person("amy"), (await sibling_mail.mail_of(desk, run)).id
        )


async def test_a_stricter_policy_applies_when_the_mail_is_offered(desk: Desk) -> None:
    run = await sibling_mail.drafted(desk)
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


async def test_an_undone_no_does_not_offer_what_is_untrue_by_now(desk: Desk) -> None:
    tools = tuple(
        one.model_copy(update={"undo": timedelta(minutes=1)})
        for one in desk.release.tools
    )
    await desk.go_live(tools=tools)
    run = await sibling_mail.drafted(desk)
    no = await desk.answer(await sibling_mail.mail_of(desk, run), "reject", "bob")
    await desk.decide(run, decision="reject")
    desk.clock.go_on(timedelta(seconds=30))

    await undo.undo(desk.store, person("bob"), no.id, "Mistake.")

    desk.clock.go_on(timedelta(minutes=2))
    await desk.lease(run)
    assert (await sibling_mail.mail_of(desk, run)).status == "void"


@pytest.mark.parametrize("decision", ["reject", "change"])
async def test_an_undone_no_to_a_mail_that_waits_offers_it_no_sooner(
    desk: Desk, decision: str
) -> None:
    run = await sibling_mail.drafted(desk)
    row = await desk.answer(await sibling_mail.mail_of(desk, run), decision, "bob")
    await desk.tamper(row, undo_until=row.answer_by)

    fresh = await undo.undo(desk.store, person("bob"), row.id, "a slip")

    assert fresh.status == "waiting"
    with pytest.raises(WaitsForOthers):
        await desk.answer(fresh, "approve")
    await desk.decide(run)
    await desk.do(run)
    await desk.lease(run, index=MAIL)
    assert (await sibling_mail.mail_of(desk, run)).status == "pending"
