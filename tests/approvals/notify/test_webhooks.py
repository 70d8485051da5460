"""Webhooks: signed, tried again, given up, and never the reason for anything late."""

import asyncio
import os
import signal
import sys
from datetime import timedelta

import pytest
from sqlalchemy import text

from keyturn.approvals.notify.sender import Sender
from keyturn.approvals.notify.webhook import Poster
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.audit.log import Entry
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.notices import queue, webhooks
from keyturn.orchestrator.store.tables import NoticeRow
from tests.approvals.desk import Desk
from tests.approvals.notify.conftest import SETTINGS, Hands, Notifying
from tests.approvals.notify.receiver import HANG, receiving

TICK = timedelta(seconds=1)


async def _notices(store: Store) -> list[NoticeRow]:
    async with store.read() as session:
        return await queue.listing(session, None, tenant=None, limit=50)


async def test_an_approval_is_posted_signed_and_without_its_arguments(
    notifying: Notifying, desk: Desk
) -> None:
    async with receiving() as receiver:
        hook = await notifying.hook(receiver)
        approval = await desk.approval(await desk.run(customer="c-secret"))

        await notifying.sender.send_due()

    [posted] = receiver.posted
    told = posted.verified(notifying.secret(hook))
    assert told["type"] == "approval.asked"
    assert told["data"]["approval"] == approval.id
    assert told["data"]["tool"] == "refund_order"
    assert told["data"]["url"] == f"https://keyturn.example/inbox/{approval.id}"
    for hidden in ("c-secret", "O-1", "broken", "10000", "USD", "paid"):
        assert hidden not in posted.body


async def test_a_webhook_carries_arguments_only_where_it_was_told_to(
    notifying: Notifying, desk: Desk
) -> None:
    async with receiving() as receiver:
        hook = await notifying.hook(receiver, with_arguments=True)
        await desk.approval(await desk.run())

        await notifying.sender.send_due()

    told = receiver.posted[0].verified(notifying.secret(hook))
    assert told["data"]["arguments"]["order_id"] == "O-1"


async def test_a_receiver_that_failed_is_tried_again_under_the_same_id(
    notifying: Notifying, desk: Desk
) -> None:
    async with receiving(500) as receiver:
        hook = await notifying.hook(receiver)
        await desk.approval(await desk.run())
        await notifying.sender.send_due()
        [row] = await _notices(notifying.store)
        assert row.last_error == "answered 500"

        notifying.clock.go_on(queue.WAITS[0] + TICK)
        await notifying.sender.send_due()

    first, again = receiver.posted
    assert first.headers["webhook-id"] == again.headers["webhook-id"]
    again.verified(notifying.secret(hook))
    [row] = await _notices(notifying.store)
    assert queue.state(row) == "sent"


async def test_a_receiver_that_hangs_holds_up_nobody_else(
    notifying: Notifying, desk: Desk
) -> None:
    notifying.sender.poster = Poster(private=True, timeout_s=0.5)
    async with receiving(HANG) as slow, receiving() as quick:
        hanging = await notifying.hook(slow)
        await notifying.hook(quick)
        await desk.approval(await desk.run())

        await notifying.sender.send_due()

    assert len(quick.posted) == 1
    errors = {row.target: row.last_error for row in await _notices(notifying.store)}
    assert errors[hanging.id] == "no answer within 0.5 s"


async def test_a_redirect_is_not_followed(notifying: Notifying, desk: Desk) -> None:
    async with receiving(307) as receiver:
        await notifying.hook(receiver)
        await desk.approval(await desk.run())

        await notifying.sender.send_due()

    assert [one.path for one in receiver.posted] == ["/hook"]
    [row] = await _notices(notifying.store)
    assert row.last_error == "answered 307; redirects are not followed"


async def test_410_disables_a_webhook_until_somebody_enables_it(
    notifying: Notifying, desk: Desk
) -> None:
    async with receiving(410) as receiver:
        hook = await notifying.hook(receiver)
        run = await desk.run()
        await desk.approval(run)
        await notifying.sender.send_due()
        await desk.approval(run, index=1)
        await notifying.sender.send_due()

        [row] = await _notices(notifying.store)
        assert queue.state(row) == "dead"
        await webhooks.enable(notifying.store, hook.id, tenant=None, by="person-ada")
        await queue.retry(notifying.store, row.id, tenant=None)
        await notifying.sender.send_due()

    assert len(receiver.posted) == 2
    [row] = await _notices(notifying.store)
    assert queue.state(row) == "sent"


async def test_a_webhook_hears_of_its_own_tenant_and_kinds_alone(
    notifying: Notifying, desk: Desk
) -> None:
    async with receiving() as theirs, receiving() as others, receiving() as ours:
        await notifying.hook(theirs, tenant="theirs")
        await notifying.hook(others, events=("incident.opened",))
        await notifying.hook(ours, tenant="default", events=("approval.asked",))
        await desk.approval(await desk.run())

        await notifying.sender.send_due()

    assert (len(theirs.posted), len(others.posted), len(ours.posted)) == (0, 0, 1)


async def test_after_a_rotation_both_secrets_verify(
    notifying: Notifying, desk: Desk
) -> None:
    async with receiving() as receiver:
        hook = await notifying.hook(receiver)
        old = notifying.secret(hook)
        hook = await webhooks.rotate(notifying.store, hook.id, tenant=None, by="p")
        await desk.approval(await desk.run())

        await notifying.sender.send_due()

    receiver.posted[0].verified(old)
    receiver.posted[0].verified(notifying.secret(hook))


SEND = """
import asyncio, sys
from keyturn.approvals.notify.sender import Sender
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store

async def main():
    settings = Settings(secret_key=sys.argv[2], webhook_private=True)
    await Sender.of(settings, Store(sys.argv[1])).forever()

asyncio.run(main())
"""


async def test_p09_a_sender_killed_before_it_recorded_sends_again_under_the_same_id(
    notifying: Notifying, desk: Desk, tables_url: str
) -> None:
    notifying.clock.at = notifying.clock.at.replace(year=2020)
    async with receiving() as receiver:
        hook = await notifying.hook(receiver)
        await desk.approval(await desk.run())
        key = SETTINGS.secret_key
        assert key is not None
        sender = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SEND, tables_url, key.get_secret_value()
        )
        # It dies when the notice has arrived and before it hears so.
        receiver.on_post = lambda: os.kill(sender.pid, signal.SIGKILL)
        await asyncio.wait_for(receiver.came.wait(), 40)
        await sender.wait()
        receiver.on_post = lambda: None
        [row] = await _notices(notifying.store)
        assert (queue.state(row), row.tries) == ("due", 1)

        assert row.claimed_until is not None
        notifying.clock.at = row.claimed_until + TICK
        await notifying.sender.send_due()

    first, again = receiver.posted
    assert first.headers["webhook-id"] == again.headers["webhook-id"]
    again.verified(notifying.secret(hook))


async def test_p09_nothing_that_happens_waits_for_a_notice(
    notifying: Notifying, desk: Desk
) -> None:
    async with receiving(HANG) as receiver:
        await notifying.hook(receiver)
        run = await desk.run()
        await desk.approval(run)
        sending = asyncio.create_task(notifying.sender.send_due())
        await asyncio.wait_for(receiver.came.wait(), 40)

        # The receiver has it and does not answer; work goes on.
        await desk.approval(run, index=1)
        async with desk.store.write() as session:
            now = await session.read_clock()
            log.record(session, Entry(actor="p", kind="decision.approve"), at=now)

        assert not sending.done()
        sending.cancel()


async def test_p09_what_happens_is_recorded_where_notices_cannot_be(
    desk: Desk,
) -> None:
    async def rename(before: str, after: str) -> None:
        async with desk.store.write() as session:
            for name in ("notices", "webhooks"):
                words = f"ALTER TABLE {name}{before} RENAME TO {name}{after}"
                await session.execute(text(words))

    await rename("", "_gone")
    try:
        approval = await desk.approval(await desk.run())
    finally:
        await rename("_gone", "")

    assert approval.status == "pending"


async def test_a_fault_of_one_recipient_is_not_the_others(
    notifying: Notifying, desk: Desk
) -> None:
    async with receiving() as receiver:
        await notifying.hook(receiver)
        nobody = await notifying.hook(receiver)
        async with notifying.store.write() as session:
            row = await webhooks.get(session, nobody.id)
            row.url = "http://[broken"
        await desk.approval(await desk.run())

        await notifying.sender.send_due()

    assert len(receiver.posted) == 1
    errors = {row.target: row.last_error or "" for row in await _notices(desk.store)}
    assert "is not a valid URL" in errors[nobody.id]


@pytest.mark.parametrize("key", [None, SETTINGS.secret_key], ids=["unset", "set"])
async def test_nothing_is_posted_unsigned(
    notifying: Notifying, desk: Desk, key: object, clock: Hands
) -> None:
    del clock
    settings = SETTINGS.model_copy(update={"secret_key": key})
    sender = Sender(notifying.store, settings, notifying.sender.poster, None)
    async with receiving() as receiver:
        await notifying.hook(receiver)
        await desk.approval(await desk.run())

        await sender.send_due()

    assert len(receiver.posted) == (0 if key is None else 1)
