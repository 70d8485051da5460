"""A message to the customer whose action is taken back, or is about to be."""

from datetime import timedelta

import pytest
from pydantic import JsonValue

from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.approvals.errors import WaitsForOthers
from keyturn.orchestrator.store.effects import compensation, late_failure
from keyturn.orchestrator.store.ledger.effects import Grant
from keyturn.orchestrator.store.tables import OutboxRow
from keyturn.orchestrator.store.turns.turn import DraftedCall
from tests.orchestrator.store.approvals import sibling_mail
from tests.orchestrator.store.approvals.sibling_mail import BOUNCED, MAIL
from tests.orchestrator.store.desk import Desk, mail


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
    with pytest.raises(WaitsForOthers, match="is being compensated"):
        await desk.answer(row, "approve")

    if is_known:
        await desk.record(back, "failed", "The card is closed.")
    else:
        desk.clock.go_on(timedelta(minutes=5))
        await sibling_mail.find_out(desk, back.key, stayed=False)

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
    await sibling_mail.find_out(desk, back.key, stayed=False)

    call = await desk.call(run, 3)
    assert (call.status, "and was not" in (call.result or "")) == ("void", True)


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

    row = await sibling_mail.mail_of(desk, run)
    call = await desk.call(run, index=MAIL)
    assert (row.status, call.status) == ("void", "void")
    assert "pay" in (row.closed_because or "")
    assert grant is None or not (await desk.begin(grant)).may_send


async def _being_taken_back(desk: Desk) -> tuple[str, Grant]:
    """Pay, and begin to take that back; return the run that paid, and what it sends."""
    run = await desk.start()
    await desk.draft(run, _payment())
    key = (await desk.do(run, preview="{}")).key
    return run, await desk.send(await _ask_back(desk, key))


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
