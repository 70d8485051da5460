"""P2: at most once, whatever dies and whenever; the ledger says what is not known."""

import asyncio
from datetime import timedelta

import pytest

from keyturn.orchestrator.rules.authority.binding import Verifier
from keyturn.orchestrator.store.approvals.errors import WaitsForOthers
from keyturn.orchestrator.store.effects import lease
from keyturn.orchestrator.store.ledger.effects import CallRef, Facts
from keyturn.orchestrator.store.releases.trust import Trust
from keyturn.orchestrator.store.runs import control, end, start
from keyturn.orchestrator.store.runs.start import NewRun
from keyturn.orchestrator.store.tables import EffectRow, RunRow
from tests.databases import both
from tests.orchestrator.store.desk import FACTS, Desk, mail, money_of, note, refund
from tests.orchestrator.store.effects.leases import LEASE_OVER


async def test_p02_a_dead_lease_that_was_never_sent_is_taken_over(desk: Desk) -> None:
    run = await desk.approved()
    await desk.granted(run)
    desk.clock.go_on(LEASE_OVER)

    grant = await desk.granted(run, holder="h2")

    assert grant.attempt == 2
    assert (await desk.begin(grant, holder="h2")).may_send


async def test_p02_a_second_attempt_waits_while_the_lease_lives(desk: Desk) -> None:
    run = await desk.approved()
    grant = await desk.send(run)

    answer = await desk.lease(run, holder="h2")

    assert answer.kind == "busy"
    assert await desk.record(grant, "done") == "done"


async def test_p02_who_lost_the_lease_does_not_send(desk: Desk) -> None:
    run = await desk.approved()
    slow = await desk.granted(run)
    desk.clock.go_on(LEASE_OVER)
    await desk.granted(run, holder="h2")

    assert not (await desk.begin(slow)).may_send


async def test_p02_a_lease_that_ran_out_does_not_send(desk: Desk) -> None:
    run = await desk.approved()
    grant = await desk.granted(run)
    desk.clock.go_on(LEASE_OVER)

    assert not (await desk.begin(grant)).may_send


async def test_p02_a_death_while_sending_is_unknown_and_not_told(desk: Desk) -> None:
    run = await desk.approved()
    grant = await desk.send(run)
    desk.clock.go_on(LEASE_OVER)

    answer = await desk.lease(run, holder="h2")

    call = await desk.call(run)
    assert answer.kind == "unknown"
    assert (await desk.effect(grant.key)).status == "unknown"
    assert (call.status, call.result) == ("open", None)
    assert "effect.unknown" in await desk.audit(run)


@both
async def test_p02_not_sent_is_tried_again_at_once(desk: Desk) -> None:
    run = await desk.approved()
    grant = await desk.send(run)
    await desk.record(grant, "not_sent", "refused connection")

    again = await desk.send(run, holder="h2")

    assert (again.attempt, again.again) == (2, False)


async def test_p02_what_was_not_sent_for_an_ended_run_waits_for_nobody(
    desk: Desk,
) -> None:
    """The attempt took long, the run ended meanwhile, and no other one comes after."""
    run = await desk.approved()
    grant = await desk.send(run)
    await desk.record(grant, "unknown", "cut")
    await end.finish(desk.store, run, end.Ending(outcome="completed"))

    assert await desk.record(grant, "not_sent", "refused connection") == "failed"

    assert (await desk.call(run)).status == "failed"


async def test_p02_facts_are_read_anew_for_what_was_not_sent(desk: Desk) -> None:
    run = await desk.approved()
    grant = await desk.send(run)
    await desk.record(grant, "not_sent", "refused connection")
    changed = FACTS.replace('"refunded":0', '"refunded":1')

    assert (await desk.lease(run, holder="h2", preview=changed)).kind == "void"


@both
async def test_p02_many_attempts_at_once_get_one_grant(desk: Desk) -> None:
    run = await desk.approved()

    answers = await asyncio.gather(*(desk.lease(run, holder=f"h{n}") for n in range(8)))

    assert [one.kind for one in answers].count("leased") == 1
    assert len(await desk.rows(EffectRow)) == 1


@both
async def test_p02_two_runs_on_one_subject_get_one_grant(desk: Desk) -> None:
    first, second = await desk.start(), await desk.start()
    for run in (first, second):
        await desk.draft(run, note())

    answers = await asyncio.gather(
        desk.lease(first, holder="h1"), desk.lease(second, holder="h2")
    )

    kinds = [one.kind for one in answers]
    assert kinds.count("leased") == 1, kinds
    assert len(await desk.rows(EffectRow, status="leased")) == 1


@pytest.mark.parametrize("status", ["leased", "sending", "unknown"])
async def test_p02_a_subject_with_an_open_effect_refuses_others(
    desk: Desk, status: str
) -> None:
    first, second = await desk.start(), await desk.start()
    await desk.draft(first, note())
    await desk.draft(second, note(text="other"))
    grant = await desk.granted(first)
    if status != "leased":
        await desk.begin(grant)
    if status == "unknown":
        await desk.record(grant, "unknown", "cut")

    answer = await desk.lease(second, holder="h2")

    assert answer.kind == "refused"
    assert status in str((await desk.call(second)).result)


async def test_p02_of_the_revisions_of_a_call_one_alone_is_open(desk: Desk) -> None:
    run = await desk.approved()
    await desk.granted(run)
    desk.clock.go_on(timedelta(hours=25))

    answer = await desk.lease(run, holder="h2")

    assert answer.kind == "waiting"
    assert [e.status for e in await desk.rows(EffectRow)] == ["refused"]
    await desk.decide(run)
    assert (await desk.granted(run, holder="h2")).key == f"{run}:1.0.1"


async def test_p02_facts_that_are_refused_free_a_dead_lease(desk: Desk) -> None:
    run = await desk.approved()
    grant = await desk.granted(run)
    desk.clock.go_on(LEASE_OVER)

    answer = await desk.give_up(run)

    assert answer.kind == "failed"
    assert (await desk.effect(grant.key)).status == "refused"
    assert (await desk.approval(run)).status == "void"


async def test_p02_facts_that_are_refused_by_what_was_sent_end_nothing(
    desk: Desk,
) -> None:
    run = await desk.approved()
    await desk.send(run)
    desk.clock.go_on(LEASE_OVER)

    answer = await desk.give_up(run)

    assert answer.kind == "unknown"
    assert (await desk.call(run)).status == "open"


async def test_p02_facts_that_cannot_be_read_in_a_pause_end_nothing(
    desk: Desk,
) -> None:
    run = await desk.approved()
    await control.pause(desk.store, run, by="lea", reason="look")

    answer = await desk.give_up(run)

    assert answer.kind == "stopped"


async def test_p02_an_ended_run_sends_nothing_more(desk: Desk) -> None:
    run = await desk.approved()
    other = await desk.approved(customer="c2")
    grant = await desk.granted(run)
    ending = end.Ending(outcome="handed_off", reason="enough")
    for one in (run, other):
        await end.finish(desk.store, one, ending)

    assert not (await desk.begin(grant)).may_send
    assert (await desk.lease(other, holder="h2")).grant is None


async def test_p02_a_mail_waits_for_its_siblings_and_is_void_without_them(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund(index=0), mail(index=1))
    refunded, written = sorted(
        await desk.rows(type(await desk.approval(run))), key=lambda one: one.index
    )
    with pytest.raises(WaitsForOthers):
        await desk.answer(written, "approve")
    await desk.answer(refunded, "reject")

    before = await desk.lease(run, index=1, preview="{}", money=None)
    await desk.lease(run, index=0)
    after = await desk.lease(run, index=1, preview="{}", money=None)

    assert (before.kind, after.kind) == ("waiting", "void")
    assert await desk.rows(EffectRow) == []


@both
async def test_p02_the_same_external_id_gives_the_first_run_to_all(
    desk: Desk,
) -> None:
    new = NewRun(
        workflow="desk",
        tenant="default",
        source="zendesk",
        external_id="T-1",
        input={"customer_id": "c1", "text": "hello"},
    )

    found = await asyncio.gather(*(start.start(desk.store, new) for _ in range(8)))

    assert len({row.id for row, _ in found}) == 1
    assert [is_new for _, is_new in found].count(True) == 1
    assert len(await desk.rows(RunRow)) == 1


async def test_p02_the_same_external_id_elsewhere_is_another_run(desk: Desk) -> None:
    run = await desk.start(source="a", external_id="1")

    others = [
        await desk.start(source="b", external_id="1"),
        await desk.start(source="a", external_id="2", tenant="other"),
        await desk.start(external_id="1"),
    ]

    assert len({run, *others}) == 4
    assert await desk.again(source="a", external_id="1") == run
    assert await desk.again(external_id="1") == others[2]


async def test_p02_with_another_key_nothing_is_granted_and_nothing_lost(
    desk: Desk,
) -> None:
    from keyturn.orchestrator.rules.authority.binding import new_key  # noqa: PLC0415 one use

    run = await desk.approved()
    call = await desk.call(run)
    facts = Facts(
        revision=0,
        arguments=call.arguments,
        preview=FACTS,
        money=money_of(call.arguments),
    )

    answer = await lease.lease(
        desk.store, Trust(Verifier(new_key())), ref(run), facts, holder="h1"
    )

    assert answer.kind == "not_before"
    assert (await desk.approval(run)).status == "approved"


def ref(run: str) -> CallRef:
    return CallRef(run=run, turn=1, index=0)
