"""A message to the customer whose action turned out later to have failed."""

from datetime import timedelta
from typing import Any

import pytest

from keyturn.orchestrator.rules.money.budget import TURNS_PER_STEP
from keyturn.orchestrator.rules.text import model_notices
from keyturn.orchestrator.store.approvals.errors import WaitsForOthers
from keyturn.orchestrator.store.effects import late_failure, send
from keyturn.orchestrator.store.ledger.effects import Outcome
from keyturn.orchestrator.store.runs import messages
from keyturn.orchestrator.store.tables import CallRow, OutboxRow, StepRow
from tests.orchestrator.store.approvals import sibling_mail
from tests.orchestrator.store.approvals.sibling_mail import BOUNCED, MAIL
from tests.orchestrator.store.desk import Desk, mail, refund


@pytest.mark.parametrize(
    ("when", "turn"), [("offered", 1), ("approved", 2), ("leased", 1)]
)
async def test_a_mail_is_void_at_once_when_what_it_speaks_of_fails_later(
    desk: Desk, when: str, turn: int
) -> None:
    run = await desk.start()
    key = await sibling_mail.refunded(desk, run, turn=turn)
    place: dict[str, Any] = {"turn": turn, "index": 0 if turn == 2 else MAIL}
    await desk.lease(run, **place)
    if when != "offered":
        await desk.decide(run)
    grant = await desk.granted(run, **place) if when == "leased" else None

    await late_failure.reopen(desk.store, key, BOUNCED)

    row, call = await sibling_mail.mail_of(desk, run), await desk.call(run, **place)
    assert (row.status, call.status) == ("void", "void")
    assert "refund" in (row.closed_because or "")
    assert grant is None or not (await desk.begin(grant)).may_send
    assert (await desk.lease(run, holder="h2", **place)).kind == "void"


async def test_a_mail_that_is_being_sent_is_left_to_its_outcome(desk: Desk) -> None:
    run = await desk.start()
    key = await sibling_mail.refunded(desk, run)
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
    key = await sibling_mail.refund_done(desk, run)
    await late_failure.reopen(desk.store, key, BOUNCED)
    if is_settled:
        await sibling_mail.find_out(desk, key, stayed=False)

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
    with pytest.raises(WaitsForOthers, match="reported as failed since"):
        await desk.answer(row, "approve")

    await sibling_mail.find_out(desk, key, stayed=False)

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

    await sibling_mail.find_out(desk, key, stayed=True)

    call = await desk.call(run, 3)
    assert (call.status, (await desk.approval(run)).status) == ("void", "void")
    assert "said to have failed later, and stayed done" in (call.result or "")
    await _begin_step(desk, run)
    await desk.draft(run, mail(0), turn=TURNS_PER_STEP + 1)
    assert (await desk.approval(run)).status == "pending"


async def test_what_a_model_was_told_before_notices_had_codes_counts(
    desk: Desk,
) -> None:
    """A run that was under way at the upgrade: its rows keep their answers."""
    run, key = await _told_that_it_failed(desk)
    for row in await desk.rows(CallRow, run=run, status="void"):
        await desk.tamper(row, result=model_notices.for_people(row.result or ""))

    await sibling_mail.find_out(desk, key, stayed=True)

    assert (await desk.call(run, 3)).status == "void"


async def test_a_mail_of_a_later_step_is_void_where_its_model_reads_the_failure(
    desk: Desk,
) -> None:
    run, key = await _told_that_it_failed(desk)
    await desk.answer(await desk.approval(run), "reject")
    await desk.lease(run, turn=3)
    await sibling_mail.find_out(desk, key, stayed=True)

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

    await sibling_mail.find_out(desk, key, stayed=True)

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


async def test_a_mail_after_what_stayed_done_after_all_is_offered(desk: Desk) -> None:
    run = await desk.start()
    key = await sibling_mail.refund_done(desk, run)
    await late_failure.reopen(desk.store, key, BOUNCED)
    await sibling_mail.find_out(desk, key, stayed=True)

    await desk.draft(run, mail(0), turn=2)

    assert (await desk.approval(run)).status == "pending"


async def test_to_be_told_that_one_failed_is_not_to_be_told_of_another(
    desk: Desk,
) -> None:
    run = await desk.start()
    first, second = (
        await sibling_mail.refund_done(desk, run),
        await sibling_mail.refund_done(desk, run, turn=2, order="o2"),
    )
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


async def test_a_mail_of_a_model_that_was_told_that_it_failed_is_offered(
    desk: Desk,
) -> None:
    run = await desk.start()
    key = await sibling_mail.refunded(desk, run)
    await desk.lease(run, index=MAIL)
    await late_failure.reopen(desk.store, key, BOUNCED)

    await desk.draft(run, mail(0), turn=2)

    assert (await desk.approval(run)).status == "waiting"
    await sibling_mail.find_out(desk, key, stayed=False)
    assert (await desk.lease(run, turn=2)).kind == "waiting"
    assert (await desk.approval(run)).status == "pending"


async def _begin_step(desk: Desk, run: str, step: int = 2) -> None:
    async with desk.store.write() as session:
        now = await session.read_clock()
        session.add(StepRow(run=run, step=step, name="", kind="ask", created_at=now))


async def _told_that_it_failed(desk: Desk) -> tuple[str, str]:
    """Reopen a refund; draft a mail whose model was told so. Return run and effect."""
    run = await desk.start()
    key = await sibling_mail.refund_done(desk, run)
    await late_failure.reopen(desk.store, key, BOUNCED)
    await desk.draft(run, mail(0), turn=2)
    await desk.draft(run, mail(0), turn=3)
    assert (await desk.approval(run)).status == "waiting"
    return run, key
