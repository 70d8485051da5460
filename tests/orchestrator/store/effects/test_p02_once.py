"""P2: at most once, whatever dies and whenever; the ledger says what is not known."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from keyturn.orchestrator.rules.authority.binding import Verifier
from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.store.approvals.errors import WaitsForOthers
from keyturn.orchestrator.store.effects import errors, lease, resolution, send
from keyturn.orchestrator.store.effects.errors import NeedsAnother
from keyturn.orchestrator.store.effects.resolution import Resolution
from keyturn.orchestrator.store.ledger.effects import CallRef, Facts, Outcome
from keyturn.orchestrator.store.releases.trust import Trust
from keyturn.orchestrator.store.runs import control, end, start
from keyturn.orchestrator.store.runs.start import NewRun
from keyturn.orchestrator.store.tables import EffectRow, IncidentRow, OutboxRow, RunRow
from tests.databases import both
from tests.orchestrator.store.desk import (
    FACTS,
    WITHIN,
    Desk,
    mail,
    money_of,
    note,
    open_desk,
    refund,
)

LEASE_OVER = timedelta(seconds=30)
WINDOW = timedelta(hours=1)
HAPPENED = Resolution(
    happened=True, evidence="bank statement", person="lea", person_name="Lea"
)
NEVER = HAPPENED.model_copy(update={"happened": False})


@pytest.fixture
async def keyed(tables_url: str) -> AsyncIterator[Desk]:
    """A desk whose provider honours the key of a refund for an hour."""
    async with open_desk(tables_url) as desk:
        tools = tuple(
            one.model_copy(update={"idempotency_window": WINDOW})
            if one.name == "refund"
            else one
            for one in desk.release.tools
        )
        desk.release = await desk.go_live(tools=tools)
        yield desk


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


async def test_p02_a_late_receipt_confirms_and_rings(desk: Desk) -> None:
    run = await desk.approved()
    grant = await desk.send(run)
    desk.clock.go_on(LEASE_OVER)
    await desk.lease(run, holder="h2")
    before = len(await desk.rows(OutboxRow, run=run, kind="wake"))

    status = await desk.record(grant, "done")

    assert status == "done"
    assert (await desk.call(run)).status == "done"
    assert len(await desk.rows(OutboxRow, run=run, kind="wake")) == before + 1


@pytest.mark.parametrize("who", ["lea", "reconcile"])
async def test_p02_a_receipt_for_what_was_said_not_to_have_happened_alarms(
    desk: Desk, who: str
) -> None:
    """It may have been done once more since: people look before a customer does."""
    run = await desk.approved()
    grant = await desk.send(run)
    desk.clock.go_on(LEASE_OVER)
    await desk.lease(run, holder="h2")
    absent = Outcome(kind="failed", words="not there")
    await send.record(desk.store, grant, absent, recorded_by=who)

    said = [await desk.record(grant, "done"), await desk.record(grant, "done")]

    [incident] = await desk.rows(IncidentRow)
    assert said == ["done", "done"]
    assert incident.severity == "critical"
    assert incident.detail["effect"] == grant.key
    assert set(incident.named) == {"amy", who}


async def test_p02_an_unknown_effect_is_never_sent_again(desk: Desk) -> None:
    run = await desk.approved()
    grant = await desk.send(run)
    await desk.record(grant, "unknown", "cut")
    desk.clock.go_on(timedelta(days=400))

    answer = await desk.lease(run, holder="h2")

    assert (answer.kind, answer.grant) == ("unknown", None)


async def test_p02_a_person_records_what_happened_and_the_run_is_rung(
    desk: Desk,
) -> None:
    run = await desk.approved()
    grant = await desk.send(run)
    await desk.record(grant, "unknown", "cut")

    await resolution.resolve(desk.store, grant.key, HAPPENED)

    effect = await desk.effect(grant.key)
    assert (effect.status, effect.recorded_by) == ("done", "lea")
    assert (await desk.lease(run, holder="h2")).kind == "done"
    assert await desk.rows(OutboxRow, run=run, kind="wake")


async def test_p02_a_receipt_that_contradicts_a_person_is_kept(desk: Desk) -> None:
    run = await desk.approved()
    grant = await desk.send(run)
    await desk.record(grant, "unknown", "cut")
    desk.clock.go_on(timedelta(minutes=1))
    await resolution.resolve(desk.store, grant.key, NEVER)

    await desk.record(grant, "done")

    assert (await desk.effect(grant.key)).status == "done"


async def test_p02_a_receipt_that_confirms_a_person_is_kept_beside_their_words(
    desk: Desk,
) -> None:
    run = await desk.approved()
    grant = await desk.send(run)
    await desk.record(grant, "unknown", "cut")
    await resolution.resolve(desk.store, grant.key, HAPPENED)

    for id_ in ("re_1", "re_2"):
        assert await desk.record(grant, "done", receipt={"id": id_}) == "done"

    effect = await desk.effect(grant.key)
    assert (effect.receipt, effect.recorded_by) == ({"id": "re_1"}, "lea")
    assert effect.evidence == HAPPENED.evidence
    assert (await desk.audit(run)).count("effect.receipt") == 1


async def test_p02_nobody_says_that_it_never_happened_while_it_may_yet(
    desk: Desk,
) -> None:
    """A provider may go on with what timed out: its books show nothing so far."""
    grant = await desk.send(await desk.approved())
    await desk.record(grant, "unknown", "time-out")
    lease_until = (await desk.effect(grant.key)).lease_until
    over = lease_until + send.SETTLED

    for at in (desk.clock.at, over - timedelta(seconds=1)):
        desk.clock.at = at
        with pytest.raises(errors.NotSettled, match="may still be carried out"):
            await resolution.resolve(desk.store, grant.key, NEVER)
    held = await desk.effect(grant.key)
    desk.clock.at = over
    freed = await resolution.resolve(desk.store, grant.key, NEVER)

    assert (held.status, held.recorded_by, freed.status) == ("unknown", None, "failed")


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


async def test_p02_a_second_attempt_not_sent_for_an_ended_run_stays_unknown(
    keyed: Desk,
) -> None:
    """Nobody knows of the first one, so a person finds out."""
    run = await keyed.approved()
    await keyed.send(run)
    keyed.clock.go_on(LEASE_OVER)
    second = await keyed.send(run, holder="h2")
    await keyed.record(second, "unknown", "cut")
    await end.finish(keyed.store, run, end.Ending(outcome="completed"))

    assert await keyed.record(second, "not_sent", "refused connection") == "unknown"


async def test_p02_facts_are_read_anew_for_what_was_not_sent(desk: Desk) -> None:
    run = await desk.approved()
    grant = await desk.send(run)
    await desk.record(grant, "not_sent", "refused connection")
    changed = FACTS.replace('"refunded":0', '"refunded":1')

    assert (await desk.lease(run, holder="h2", preview=changed)).kind == "void"


async def test_p02_a_provider_that_honours_the_key_gets_it_again(keyed: Desk) -> None:
    run = await keyed.approved()
    first = await keyed.send(run)
    keyed.clock.go_on(LEASE_OVER)

    second = await keyed.send(run, holder="h2")

    assert (second.key, second.attempt, second.again) == (first.key, 2, True)


@pytest.mark.parametrize("second", ["leased", "sending", "failed", "unknown"])
async def test_p02_a_receipt_of_the_first_sending_counts_whatever_the_second_did(
    keyed: Desk, second: str
) -> None:
    run = await keyed.approved()
    first = await keyed.send(run)
    keyed.clock.go_on(LEASE_OVER)
    again = await keyed.granted(run, holder="h2")
    if second != "leased":
        assert (await keyed.begin(again, holder="h2")).may_send
    if second in ("failed", "unknown"):
        assert await keyed.record(again, second) == "unknown"

    assert await keyed.record(first, "done") == "done"

    assert await keyed.record(again, "failed", "it was refunded before") == "done"
    assert not (await keyed.begin(again, holder="h2")).may_send


async def test_p02_a_retry_arrives_within_the_window_however_slow_it_is(
    keyed: Desk,
) -> None:
    run = await keyed.approved()
    await keyed.send(run)
    keyed.clock.go_on(WINDOW - WITHIN)
    grant = await keyed.granted(run, holder="h2")

    may = await keyed.begin(grant, holder="h2")

    assert not may.may_send
    assert (await keyed.effect(grant.key)).status == "unknown"


async def test_p02_the_key_is_not_sent_again_after_its_window(keyed: Desk) -> None:
    run = await keyed.approved()
    await keyed.send(run)
    keyed.clock.go_on(WINDOW)

    assert (await keyed.lease(run, holder="h2")).kind == "unknown"


async def test_p02_the_window_is_looked_at_again_right_before_sending(
    keyed: Desk,
) -> None:
    run = await keyed.approved()
    await keyed.send(run)
    keyed.clock.go_on(WINDOW - timedelta(seconds=2))
    grant = await keyed.granted(run, holder="h2")
    keyed.clock.go_on(timedelta(seconds=3))

    may = await keyed.begin(grant, holder="h2")

    assert not may.may_send
    assert (await keyed.effect(grant.key)).status == "unknown"


async def test_p02_the_first_sending_and_not_the_retry_begins_the_window(
    keyed: Desk,
) -> None:
    run = await keyed.approved()
    for holder in ("h1", "h2", "h3"):
        await keyed.send(run, holder=holder)
        keyed.clock.go_on(WINDOW / 2)
        if holder == "h2":
            break

    assert (await keyed.lease(run, holder="h4")).kind == "unknown"


async def test_p02_a_retry_does_not_read_facts_that_it_may_have_changed(
    keyed: Desk,
) -> None:
    run = await keyed.approved()
    await keyed.send(run)
    keyed.clock.go_on(LEASE_OVER)
    await keyed.granted(run, holder="h2")
    keyed.clock.go_on(LEASE_OVER)
    changed = FACTS.replace('"refunded":0', '"refunded":5000')

    answer = await keyed.lease(run, holder="h3", preview=changed)

    assert answer.grant is not None
    assert answer.grant.again


@pytest.mark.parametrize("hold", ["disable", "cancel", "deny"])
async def test_p02_what_may_have_been_sent_is_unknown_and_not_refused(
    keyed: Desk, hold: str
) -> None:
    run = await keyed.approved()
    grant = await keyed.send(run)
    keyed.clock.go_on(LEASE_OVER)
    if hold == "disable":
        await keyed.switch("disable", tool="refund")
    elif hold == "cancel":
        await control.cancel(keyed.store, run, by="lea", reason="enough")
    else:
        await keyed.go_live(rules=(Rule("set_note", verdict="allow"),))

    answer = await keyed.lease(run, holder="h2")

    assert answer.kind == "unknown"
    assert (await keyed.effect(grant.key)).status == "unknown"
    assert (await keyed.call(run)).status == "open"


async def test_p02_a_switch_on_a_second_attempt_leaves_the_first_unknown(
    keyed: Desk,
) -> None:
    run = await keyed.approved()
    grant = await keyed.send(run)
    keyed.clock.go_on(LEASE_OVER)
    second = await keyed.granted(run, holder="h2")

    barrier = await keyed.switch("halt", tool="refund")

    assert barrier.sending == (grant.key,)
    assert not (await keyed.begin(second, holder="h2")).may_send
    assert (await keyed.effect(grant.key)).status == "unknown"


async def test_p02_a_second_attempt_that_is_not_sent_keeps_the_first_in_mind(
    keyed: Desk,
) -> None:
    run = await keyed.approved()
    await keyed.send(run)
    keyed.clock.go_on(LEASE_OVER)
    second = await keyed.send(run, holder="h2")
    await keyed.record(second, "not_sent", "refused connection")
    keyed.clock.go_on(WINDOW)

    assert (await keyed.lease(run, holder="h3")).kind == "unknown"


async def test_p02_a_receipt_of_the_first_attempt_settles_the_second(
    keyed: Desk,
) -> None:
    run = await keyed.approved()
    first = await keyed.send(run)
    keyed.clock.go_on(LEASE_OVER)
    second = await keyed.send(run, holder="h2")
    await keyed.record(second, "unknown", "cut")

    assert await keyed.record(first, "done") == "done"


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


async def test_p02_an_absence_proves_nothing_while_a_request_may_be_on_its_way(
    desk: Desk,
) -> None:
    run = await desk.approved()
    grant = await desk.send(run)
    await desk.record(grant, "unknown", "time-out")

    at_once = await send.absent_until(desk.store, grant.key)
    desk.clock.go_on(timedelta(minutes=1))
    later = await send.absent_until(desk.store, grant.key)

    assert at_once is not None
    assert later is None


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


@pytest.mark.parametrize("who", ["approver", "starter", "customer"])
async def test_p02_whoever_wanted_it_does_not_say_that_it_never_happened(
    desk: Desk, who: str
) -> None:
    """Else one person approves a refund, says that it failed, and approves it again."""
    run = await desk.approved(started_by="lea", customer="lou")
    grant = await desk.send(run)
    await desk.record(grant, "unknown", "time-out")
    person = {"approver": "amy", "starter": "lea", "customer": "lou"}[who]
    absent = NEVER.model_copy(update={"person": person})
    desk.clock.go_on(timedelta(minutes=1))

    with pytest.raises(NeedsAnother, match="somebody else"):
        await resolution.resolve(desk.store, grant.key, absent)

    other = absent.model_copy(update={"person": "bob"})
    assert (await desk.effect(grant.key)).status == "unknown"
    assert (await resolution.resolve(desk.store, grant.key, other)).status == "failed"


async def test_p02_whoever_approved_it_may_say_that_it_happened(desk: Desk) -> None:
    grant = await desk.send(await desk.approved())
    await desk.record(grant, "unknown", "time-out")
    happened = HAPPENED.model_copy(update={"person": "amy"})

    assert (await resolution.resolve(desk.store, grant.key, happened)).status == "done"
