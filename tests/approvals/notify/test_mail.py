"""Mail: to those who can do something about it, seldom, and saying little."""

import asyncio
from datetime import timedelta

from aiosmtpd.smtp import SMTP

from keyturn.approvals.notify.mail import Mailer
from keyturn.approvals.notify.recipients import Planner
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.audit.log import Entry
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.notices import fan_out, queue
from keyturn.orchestrator.store.people import accounts
from keyturn.orchestrator.store.tables import ApprovalRow, PersonRow
from tests.approvals.desk import Desk
from tests.approvals.notify.conftest import Notifying
from tests.approvals.people import People

TICK = timedelta(seconds=1)


async def _happens(store: Store, kind: str, approval: ApprovalRow) -> None:
    async with store.write() as session:
        now = await session.read_clock()
        entry = Entry(
            actor="system",
            kind=kind,
            tenant=approval.tenant,
            run=approval.run,
            subject=approval.id,
        )
        log.record(session, entry, at=now)


async def _about(store: Store, person: PersonRow, *kinds: str) -> None:
    async with store.write() as session:
        row = await accounts.get(session, person.id)
        row.mail_about = list(kinds)


async def test_a_warning_is_mailed_to_those_who_may_decide_and_nobody_else(
    notifying: Notifying, desk: Desk, people: People
) -> None:
    sam = await people.named("sam", role="lead")
    await people.named("lea", role="lead")
    await people.named("tom", role="lead", tenant="another")
    await people.named("amy", role="agent")
    await people.named("bot", role="lead", kind="service")
    run = await desk.run(started_by=sam.id, customer="customer-seven")
    approval = await desk.approval(run, role="lead")
    await _happens(desk.store, "approval.warned", approval)

    await notifying.sender.send_due()

    [mail] = notifying.post.mails()
    assert mail["to"] == "lea@shop.example"
    assert mail["subject"].startswith("Keyturn: Refund order (support) is about to")
    assert f"https://keyturn.example/inbox/{approval.id}" in mail["body"]
    for hidden in ("customer-seven", "O-1", "10000", "USD", "broken"):
        assert hidden not in mail["body"]


async def test_what_merely_waits_is_mailed_only_to_who_asked_for_it(
    notifying: Notifying, desk: Desk, people: People
) -> None:
    await people.named("amy")
    ben = await people.named("ben")
    await _about(desk.store, ben, "approval.asked")
    await desk.approval(await desk.run())

    await notifying.sender.send_due()

    assert [mail["to"] for mail in notifying.post.mails()] == ["ben@shop.example"]


async def test_whoever_is_new_is_not_told_of_what_they_may_not_decide_yet(
    notifying: Notifying, desk: Desk, people: People
) -> None:
    await people.named("amy")
    new = accounts.NewPerson(name="Noor", email="noor@shop.example", role="agent")
    noor = await accounts.add(desk.store, new, password_hash=None, by="test")
    await _about(desk.store, noor, "approval.asked")
    await desk.approval(await desk.run())

    await notifying.sender.send_due()

    assert noor.approves_from is not None
    assert notifying.post.mails() == []


async def test_many_things_make_one_mail_and_no_second_within_five_minutes(
    notifying: Notifying, desk: Desk, people: People
) -> None:
    await _about(desk.store, await people.named("amy"), "approval.asked")
    run = await desk.run()
    for index in range(3):
        await desk.approval(run, index=index)
    await notifying.sender.send_due()
    for index in range(3, 25):
        await desk.approval(run, index=index)
    await notifying.sender.send_due()

    [first] = notifying.post.mails()
    assert first["subject"] == "Keyturn: 3 items wait for you"
    notifying.clock.go_on(queue.MAIL_EVERY)
    await notifying.sender.send_due()
    second = next(m for m in notifying.post.mails() if m["id"] != first["id"])
    assert second["subject"] == "Keyturn: 22 items wait for you"
    assert "And 2 more." in second["body"]


async def test_what_was_decided_meanwhile_is_not_mailed(
    notifying: Notifying, desk: Desk, people: People
) -> None:
    await _about(desk.store, await people.named("amy"), "approval.asked")
    approval = await desk.approval(await desk.run())
    async with desk.store.write() as session:
        row = await approval_lookup.get(session, approval.id)
        row.status = "approved"

    await notifying.sender.send_due()

    assert notifying.post.mails() == []
    async with desk.store.read() as session:
        [row] = await queue.listing(session, "sent", tenant=None, limit=9)
    assert row.last_error == "it no longer needs attention"


async def test_somebody_whose_account_was_closed_is_not_written_to(
    notifying: Notifying, desk: Desk, people: People
) -> None:
    amy = await people.named("amy")
    await _about(desk.store, amy, "approval.asked")
    await desk.approval(await desk.run())
    await fan_out.fan_out(desk.store, Planner(mails=True))
    async with desk.store.write() as session:
        row = await session.get(PersonRow, amy.id)
        assert row is not None
        row.disabled_at = notifying.clock()

    await notifying.sender.send_due()

    assert notifying.post.mails() == []


async def test_a_mail_server_that_is_away_is_tried_again(
    notifying: Notifying, desk: Desk, people: People
) -> None:
    await _about(desk.store, await people.named("amy"), "approval.asked")
    right, notifying.sender.mailer = (
        notifying.sender.mailer,
        Mailer("smtp://127.0.0.1:1", "keyturn@example.com"),
    )
    await desk.approval(await desk.run())
    await notifying.sender.send_due()
    async with desk.store.read() as session:
        [row] = await queue.listing(session, "due", tenant=None, limit=9)
    assert "mail server" in (row.last_error or "")

    notifying.sender.mailer = right
    notifying.clock.go_on(queue.WAITS[0] + TICK)
    await notifying.sender.send_due()

    assert len(notifying.post.mails()) == 1


class _Refusing:
    async def handle_RCPT(self, *_: object) -> str:  # noqa: N802 aiosmtpd's name
        return "550 No such person"


async def test_an_address_that_is_refused_for_good_is_a_dead_letter_at_once(
    notifying: Notifying, desk: Desk, people: People
) -> None:
    await _about(desk.store, await people.named("amy"), "approval.asked")
    await desk.approval(await desk.run())
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(_Refusing()), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    notifying.sender.mailer = Mailer(f"smtp://127.0.0.1:{port}", "k@example.com")

    await notifying.sender.send_due()

    server.close()
    async with desk.store.read() as session:
        [row] = await queue.listing(session, "dead", tenant=None, limit=9)
    assert (row.tries, row.last_error) == (
        1,
        "the mail server refused the person's address",
    )


async def test_without_a_mail_server_no_mail_is_made(
    notifying: Notifying, desk: Desk, people: People
) -> None:
    await _about(desk.store, await people.named("amy"), "approval.asked")
    notifying.sender.mailer = None
    await desk.approval(await desk.run())

    await notifying.sender.send_due()

    async with desk.store.read() as session:
        assert await queue.listing(session, None, tenant=None, limit=9) == []
