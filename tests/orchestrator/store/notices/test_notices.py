"""Notices: nothing that happened is forgotten, and nothing waits for them."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.audit.log import Entry
from keyturn.orchestrator.store.integrity import verification
from keyturn.orchestrator.store.integrity.sealer import Sealer
from keyturn.orchestrator.store.notices import fan_out, queue, webhooks
from keyturn.orchestrator.store.notices.errors import NotDead
from keyturn.orchestrator.store.notices.fan_out import Event, NewNotice
from keyturn.orchestrator.store.notices.webhooks import NewWebhook
from keyturn.orchestrator.store.tables import AuditRow, NoticeRow
from tests.orchestrator.store.desk import Desk

TICK = timedelta(seconds=1)


async def _happens(desk: Desk, *kinds: str) -> None:
    desk.is_honest = False  # nothing of it happened
    async with desk.store.write() as session:
        now = await session.read_clock()
        for kind in kinds:
            entry = Entry(actor="run:r", kind=kind, tenant="default", subject="ap-1")
            log.record(session, entry, at=now)


async def _to_hook(_: AsyncSession, events: Sequence[Event]) -> list[NewNotice]:
    return [_notice(event, "webhook", "hook-1") for event in events]


async def _to_amy(_: AsyncSession, events: Sequence[Event]) -> list[NewNotice]:
    return [_notice(event, "mail", "person-amy") for event in events]


def _notice(event: Event, channel: str, target: str) -> NewNotice:
    return NewNotice.model_validate(
        {
            "event": event.id,
            "kind": event.kind,
            "channel": channel,
            "target": target,
            "tenant": event.tenant,
            "payload": {"approval": event.subject},
        }
    )


async def _all(desk: Desk) -> list[NoticeRow]:
    async with desk.store.read() as session:
        return await queue.listing(session, None, tenant=None, limit=100)


async def test_what_happened_is_told_once_whoever_looks(desk: Desk) -> None:
    await _happens(desk, "approval.asked", "turn", "effect.unknown")

    first = await fan_out.fan_out(desk.store, _to_hook)
    again = await fan_out.fan_out(desk.store, _to_hook)

    assert (first, again) == (2, 0)
    kinds = [row.kind for row in await _all(desk)]
    assert kinds == ["effect.unknown", "approval.asked"]


async def test_an_event_stays_to_be_told_where_its_notices_failed(desk: Desk) -> None:
    await _happens(desk, "approval.asked")

    async def broken(_: AsyncSession, events: Sequence[Event]) -> list[NewNotice]:
        raise ConnectionError(events[0].id)

    with pytest.raises(Exception, match=r"."):
        await fan_out.fan_out(desk.store, broken)

    assert await fan_out.fan_out(desk.store, _to_hook) == 1
    assert len(await _all(desk)) == 1


async def test_the_mark_is_no_part_of_the_chain(desk: Desk) -> None:
    await _happens(desk, "approval.asked")
    await Sealer(desk.store).seal()

    await fan_out.fan_out(desk.store, _to_hook)

    finding = await verification.verify(desk.store)
    assert finding.broken_at is None
    async with desk.store.read() as session:
        marked = select(AuditRow.id).where(col(AuditRow.to_notice))
        assert (await session.execute(marked)).all() == []


async def test_a_claimed_notice_is_nobody_elses_until_its_claim_ends(
    desk: Desk,
) -> None:
    await _happens(desk, "approval.asked")
    await fan_out.fan_out(desk.store, _to_hook)

    mine = await queue.claim(desk.store)
    theirs = await queue.claim(desk.store)
    desk.clock.go_on(queue.CLAIM + TICK)
    after_my_death = await queue.claim(desk.store)

    assert [batch.ids for batch in mine] == [batch.ids for batch in after_my_death]
    assert theirs == []
    assert after_my_death[0].rows[0].tries == 2


async def test_a_busy_recipient_does_not_hold_up_others(desk: Desk) -> None:
    await _happens(desk, *["approval.asked"] * 3)
    await fan_out.fan_out(desk.store, _to_hook)
    await _happens(desk, "approval.asked")
    await fan_out.fan_out(desk.store, _to_amy)

    found = await queue.claim(desk.store, busy={"hook-1"})

    assert [batch.target for batch in found] == ["person-amy"]


async def test_a_failing_notice_is_tried_ten_times_then_is_a_dead_letter(
    desk: Desk,
) -> None:
    await _happens(desk, "approval.asked")
    await fan_out.fan_out(desk.store, _to_hook)
    waited: list[timedelta] = []

    while batches := await queue.claim(desk.store):
        await queue.failed(desk.store, batches[0].ids, error="answered 500")
        [row] = await _all(desk)
        if row.dead_at is None:
            waited.append(row.due_at - desk.clock.at)
            assert await queue.claim(desk.store) == []
            desk.clock.go_on(waited[-1] + TICK)

    assert [round(wait.total_seconds()) for wait in waited[:4]] == [5, 300, 1800, 7200]
    [row] = await _all(desk)
    assert (row.tries, row.last_error) == (queue.MOST_TRIES, "answered 500")
    assert queue.state(row) == "dead"


async def test_one_that_kills_its_senders_ends_as_a_dead_letter(desk: Desk) -> None:
    await _happens(desk, "approval.asked")
    await fan_out.fan_out(desk.store, _to_hook)

    for _ in range(queue.MOST_TRIES + 1):
        await queue.claim(desk.store)
        desk.clock.go_on(queue.CLAIM + TICK)

    [row] = await _all(desk)
    assert queue.state(row) == "dead"
    assert "died" in (row.last_error or "")


async def test_a_dead_letter_is_sent_again_by_hand(desk: Desk) -> None:
    await _happens(desk, "approval.asked")
    await fan_out.fan_out(desk.store, _to_hook)
    [batch] = await queue.claim(desk.store)
    await queue.failed(desk.store, batch.ids, error="no such host", for_good=True)
    [notice] = batch.ids

    with pytest.raises(NotFound):
        await queue.retry(desk.store, notice, tenant="another")
    assert await queue.retry(desk.store, notice, tenant="default") == 1
    with pytest.raises(NotDead, match="due"):
        await queue.retry(desk.store, notice, tenant=None)

    [again] = await queue.claim(desk.store)
    await queue.sent(desk.store, again.ids)
    [row] = await _all(desk)
    assert queue.state(row) == "sent"
    async with desk.store.read() as session:
        assert await queue.dead_count(session, tenant=None) == 0


async def test_a_person_gets_one_mail_in_five_minutes_for_all_that_waits(
    desk: Desk,
) -> None:
    await _happens(desk, *["approval.warned"] * 2)
    await fan_out.fan_out(desk.store, _to_amy)
    [first] = await queue.claim(desk.store)
    await queue.sent(desk.store, first.ids)
    await _happens(desk, *["approval.warned"] * 3)
    await fan_out.fan_out(desk.store, _to_amy)

    at_once = await queue.claim(desk.store)
    desk.clock.go_on(queue.MAIL_EVERY)
    [later] = await queue.claim(desk.store)

    assert (len(first.ids), at_once, len(later.ids)) == (2, [], 3)


async def test_what_arrived_is_forgotten_in_time_but_no_dead_letter(desk: Desk) -> None:
    await _happens(desk, *["approval.asked"] * 2)
    await fan_out.fan_out(desk.store, _to_hook)
    [one] = await queue.claim(desk.store)
    await queue.sent(desk.store, one.ids)
    [other] = await queue.claim(desk.store)
    await queue.failed(desk.store, other.ids, error="gone", for_good=True)

    desk.clock.go_on(queue.KEPT_FOR + TICK)

    assert await queue.forget(desk.store) == 1
    assert [queue.state(row) for row in await _all(desk)] == ["dead"]


async def test_a_disabled_webhook_leaves_dead_letters_and_a_removed_one_none(
    desk: Desk,
) -> None:
    new = NewWebhook(url="https://hooks.example/x", tenant="default")
    hook = await webhooks.add(desk.store, new, by="person-ada")

    async def plan(_: AsyncSession, events: Sequence[Event]) -> list[NewNotice]:
        return [_notice(event, "webhook", hook.id) for event in events]

    await _happens(desk, "approval.asked")
    await fan_out.fan_out(desk.store, plan)

    await webhooks.disable(desk.store, hook.id, because="answered 410 Gone")
    assert [queue.state(row) for row in await _all(desk)] == ["dead"]
    async with desk.store.read() as session:
        assert await webhooks.enabled(session) == []
        with pytest.raises(NotFound):
            await webhooks.get(session, hook.id, tenant="another")
    await webhooks.enable(desk.store, hook.id, tenant=None, by="person-ada")
    await webhooks.remove(desk.store, hook.id, tenant=None, by="person-ada")

    assert await _all(desk) == []


async def test_a_webhooks_secret_is_not_in_the_database(desk: Desk) -> None:
    hook = await webhooks.add(desk.store, NewWebhook(url="https://h.example"), by="a")

    [secret] = webhooks.secrets_of("our key", hook, now=desk.clock())
    [others] = webhooks.secrets_of("another key", hook, now=desk.clock())

    assert secret.startswith("whsec_")
    assert secret != others
    assert secret not in hook.model_dump_json()


async def test_a_rotated_webhook_signs_with_both_secrets_for_a_day(desk: Desk) -> None:
    hook = await webhooks.add(desk.store, NewWebhook(url="https://h.example"), by="a")
    [old] = webhooks.secrets_of("key", hook, now=desk.clock())

    hook = await webhooks.rotate(desk.store, hook.id, tenant=None, by="a")

    both = webhooks.secrets_of("key", hook, now=desk.clock())
    assert both[1] == old != both[0]
    desk.clock.go_on(webhooks.BOTH_FOR + TICK)
    assert webhooks.secrets_of("key", hook, now=desk.clock()) == both[:1]
