"""P3: a switch is a barrier; what it stopped goes on when it is lifted."""

import asyncio
from datetime import timedelta

import pytest

from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.store import outbox
from keyturn.orchestrator.store.runs import control, messages
from keyturn.orchestrator.store.switches import errors, switches
from keyturn.orchestrator.store.tables import AuditRow, EffectRow, OutboxRow
from keyturn.orchestrator.store.turns import position
from tests.databases import both
from tests.orchestrator.store.desk import Desk, note, refund

MINUTE = timedelta(minutes=1)
SCOPES = [
    {},
    {"tool": "refund"},
    {"workflow": "desk"},
    {"tenant": "default"},
    {"tool": "refund", "tenant": "default"},
]


@pytest.mark.parametrize("mode", ["halt", "disable", "require_approval"])
@pytest.mark.parametrize("scope", SCOPES, ids=str)
async def test_p03_a_switch_revokes_what_is_leased(
    desk: Desk, mode: str, scope: dict[str, str]
) -> None:
    run = await desk.approved()
    grant = await desk.granted(run)

    barrier = await desk.switch(mode, **scope)

    assert barrier.revoked == (grant.key,)
    assert not (await desk.begin(grant)).may_send


@pytest.mark.parametrize(
    "scope", [{"tool": "set_note"}, {"workflow": "other"}, {"tenant": "x"}], ids=str
)
async def test_p03_a_switch_elsewhere_revokes_nothing(
    desk: Desk, scope: dict[str, str]
) -> None:
    run = await desk.approved()
    grant = await desk.granted(run)

    barrier = await desk.switch("halt", **scope)

    assert barrier.revoked == ()
    assert (await desk.begin(grant)).may_send


async def test_p03_what_is_sending_is_listed(desk: Desk) -> None:
    run = await desk.approved()
    grant = await desk.send(run)

    barrier = await desk.switch("halt", tool="refund")

    assert (barrier.revoked, barrier.sending) == ((), (grant.key,))
    assert await desk.record(grant, "done") == "done"


@both
async def test_p03_leases_and_a_switch_at_once_leave_nothing_to_send(
    desk: Desk,
) -> None:
    found: list[str] = []
    for n in range(8):
        run = await desk.start(customer=f"d{n}")
        await desk.draft(run, note(order=f"n{n}"))
        found.append(run)

    async def carry_out(run: str) -> bool:
        answer = await desk.lease(run, holder=run)
        if answer.grant is None:
            return False
        return (await desk.begin(answer.grant, holder=run)).may_send

    *sent, barrier = await asyncio.gather(
        *(carry_out(run) for run in found), desk.switch("halt")
    )

    sending = {e.key for e in await desk.rows(EffectRow, status="sending")}
    assert isinstance(barrier, switches.Barrier)
    assert sending == set(barrier.sending)
    assert sum(bool(one) for one in sent) == len(sending)
    assert await desk.rows(EffectRow, status="leased") == []


async def test_p03_a_halted_run_is_rung_when_the_switch_is_lifted(desk: Desk) -> None:
    run = await desk.approved()
    await desk.switch("halt", tool="refund")
    stopped = await desk.lease(run)
    held = await desk.run(run)

    signalled = await switches.clear(desk.store, "s1", by="lea", reason="over")

    assert stopped.kind == "stopped"
    assert (held.status, held.stopped_by) == ("stopped", "switch s1")
    assert signalled == [run]
    assert run in await bells(desk)
    assert (await desk.granted(run)).key


async def test_p03_a_run_with_an_unknown_effect_is_rung_too(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, note(0), note(1, order="o2"))
    sent = await desk.send(run, index=0)
    await desk.switch("halt", tool="set_note")
    await desk.lease(run, index=1, holder="h2")
    await desk.record(sent, "unknown", "cut")

    signalled = await switches.clear(desk.store, "s1", by="lea", reason="over")

    assert signalled == [run]


async def test_p03_a_switch_that_ends_rings_by_the_sweep(desk: Desk) -> None:
    run = await desk.approved()
    await desk.switch("halt", until=desk.clock() + MINUTE)
    await desk.lease(run)
    early = await switches.release_ended(desk.store)
    desk.clock.go_on(MINUTE)

    assert early == 0
    assert await switches.release_ended(desk.store) == 1
    assert run in await bells(desk)
    assert (await desk.lease(run)).grant is not None


@both
@pytest.mark.parametrize("is_set_anew", [False, True], ids=["swept", "set-anew"])
async def test_p13_a_switch_that_ran_out_is_on_record_once(
    desk: Desk, *, is_set_anew: bool
) -> None:
    await desk.switch("halt", until=desk.clock() + MINUTE)
    desk.clock.go_on(MINUTE)
    if is_set_anew:
        await desk.switch("halt", tool="refund")

    await asyncio.gather(*(switches.release_ended(desk.store) for _ in range(3)))

    [row] = await desk.rows(AuditRow, kind="switch.cleared")
    assert (row.actor, row.subject) == ("system", "s1")
    assert "its time ran out" in row.payload


async def test_p11_a_switch_set_anew_elsewhere_lets_nothing_go(desk: Desk) -> None:
    run = await desk.approved()
    await desk.switch("halt", tool="refund")
    await desk.lease(run)

    with pytest.raises(errors.WouldLoosen):
        await desk.switch("halt", tool="set_note")

    assert run not in await bells(desk)
    assert (await desk.lease(run)).kind == "stopped"


async def test_p03_a_switch_set_anew_wider_rings_what_it_stopped(desk: Desk) -> None:
    run = await desk.approved()
    await desk.switch("halt", tool="refund")
    await desk.lease(run)

    await desk.switch("halt")

    assert run in await bells(desk)
    assert (await desk.lease(run)).kind == "stopped"


async def test_p03_two_switches_hold_until_both_are_lifted(desk: Desk) -> None:
    run = await desk.approved()
    await desk.switch("halt", name="s1")
    await desk.switch("halt", name="s2", tool="refund")
    await desk.lease(run)
    await switches.clear(desk.store, "s1", by="lea", reason="over")
    again = await desk.lease(run)
    after_first = await bells(desk)

    await switches.clear(desk.store, "s2", by="lea", reason="over")

    assert again.kind == "stopped"
    assert run not in after_first
    assert run in await bells(desk)


async def test_p03_what_is_drafted_of_a_disabled_tool_is_told(desk: Desk) -> None:
    run = await desk.start()
    await desk.switch("disable", tool="refund")

    (gated,) = await desk.draft(run, refund())

    assert gated.gate == "denied"
    assert "switched off: look" in str((await desk.call(run)).result)


async def test_p03_an_allowed_action_is_asked_about_where_a_switch_wants_it(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, note())
    await desk.switch("require_approval", tool="set_note")

    answer = await desk.lease(run)
    await desk.decide(run)

    assert answer.kind == "waiting"
    assert (await desk.granted(run)).key


async def test_p03_a_stop_that_is_lifted_meanwhile_is_not_a_stop(desk: Desk) -> None:
    run = await desk.start()
    await desk.switch("halt")
    seen = await position.load(desk.store, run=run, step=1, turn=1)
    await switches.clear(desk.store, "s1", by="lea", reason="over")

    assert not await position.stop(desk.store, seen, hold.by_switch("s1"))
    assert (await desk.run(run)).status != "stopped"


@both
async def test_p03_a_stop_against_its_lifting_is_rung_or_is_no_stop(
    desk: Desk,
) -> None:
    found = [await desk.start() for _ in range(4)]
    for n in range(4):
        await desk.switch("halt", name=f"s{n}")
        seen = await position.load(desk.store, run=found[n], step=1, turn=1)
        stopped, signalled = await asyncio.gather(
            position.stop(desk.store, seen, hold.by_switch(f"s{n}")),
            switches.clear(desk.store, f"s{n}", by="lea", reason="over"),
        )

        assert (found[n] in signalled) == stopped


async def test_p03_a_resumed_run_is_rung_until_it_has_looked(desk: Desk) -> None:
    run = await desk.approved()
    await control.pause(desk.store, run, by="lea", reason="look")
    stopped = await desk.lease(run)

    await control.resume(desk.store, run, by="lea", reason="go")
    signalled = await bells(desk)
    desk.clock.go_on(MINUTE)
    again = await bells(desk)
    granted = await desk.lease(run)
    desk.clock.go_on(MINUTE)

    assert stopped.kind == "stopped"
    assert (run in signalled, run in again) == (True, True)
    assert granted.grant is not None
    assert run not in await bells(desk)


async def test_p03_a_resumed_run_that_a_switch_still_holds_is_not_rung_for_ever(
    desk: Desk,
) -> None:
    run = await desk.approved()
    await desk.switch("halt")
    await control.pause(desk.store, run, by="lea", reason="look")
    await control.resume(desk.store, run, by="lea", reason="go")
    await bells(desk)
    await desk.lease(run)
    desk.clock.go_on(MINUTE)

    assert run not in await bells(desk)


async def test_p09_a_paused_run_is_not_rung_for_its_decision(desk: Desk) -> None:
    run = await desk.approved()
    await bells(desk)
    await control.pause(desk.store, run, by="lea", reason="look")
    desk.clock.go_on(MINUTE)

    assert run not in await bells(desk)


async def test_p09_a_decision_is_rung_ever_more_slowly_until_acted_on(
    desk: Desk,
) -> None:
    run = await desk.approved()
    signalled = 0
    for _ in range(120):
        signalled += run in await bells(desk)
        desk.clock.go_on(MINUTE / 2)

    await desk.do(run)
    desk.clock.go_on(timedelta(hours=2))

    assert 5 <= signalled <= 9
    assert run not in await bells(desk)
    assert await desk.rows(OutboxRow, run=run, kind="decision", done_at=None) == []


async def test_p09_one_bell_tells_all_that_is_new(desk: Desk) -> None:
    run = await desk.approved()
    for text in ("a", "b"):
        await messages.customer_wrote(
            desk.store, run, text=text, external_id=None, by="c"
        )

    first = [one for one in await outbox.claim(desk.store) if one.run == run]
    second = [one for one in await outbox.claim(desk.store) if one.run == run]

    assert len(first) == 1
    assert len(first[0].ids) >= 2
    assert second == []


async def test_p09_what_a_dead_process_claimed_is_delivered_by_another(
    desk: Desk,
) -> None:
    run = await desk.approved()
    await outbox.claim(desk.store)
    desk.clock.go_on(timedelta(seconds=11))

    assert run in await bells(desk)


@both
async def test_p09_two_processes_never_claim_the_same(desk: Desk) -> None:
    found = [await desk.approved(customer=f"c{n}") for n in range(5)]

    claims = await asyncio.gather(*(outbox.claim(desk.store) for _ in range(4)))

    claimed = [one.run for some in claims for one in some]
    assert sorted(claimed) == sorted(found)


async def bells(desk: Desk) -> set[str]:
    """Deliver what is due, as a sweep does; return the runs that it reached."""
    due = await outbox.claim(desk.store)
    await outbox.delivered(desk.store, [row for one in due for row in one.ids])
    return {one.run for one in due}
