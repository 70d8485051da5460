"""P2: after an attempt of unknown outcome only a receipt, a look-up or a person settles.

A provider that honours the key may answer the second attempt with a no ("in progress",
"refunded already", 403): that says nothing of the first.
"""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from keyturn.orchestrator.rules.text import model_notices
from keyturn.orchestrator.store.effects import resolution, send
from keyturn.orchestrator.store.effects.resolution import Resolution
from keyturn.orchestrator.store.effects.send import Recorded
from keyturn.orchestrator.store.ledger import outcome
from keyturn.orchestrator.store.ledger.effects import Grant, Outcome
from keyturn.orchestrator.store.runs import control
from keyturn.orchestrator.store.tables import IncidentRow
from tests.orchestrator.store.desk import Desk, note, open_desk, refund
from tests.orchestrator.store.effects.leases import LEASE_OVER

WINDOW = timedelta(hours=1)


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


async def second(desk: Desk, run: str) -> Grant:
    """The attempt after one whose worker died while it was sending."""
    await desk.send(run)
    desk.clock.go_on(LEASE_OVER)
    return await desk.send(run, holder="h2")


async def record(desk: Desk, grant: Grant, kind: str, **more: object) -> Recorded:
    given = {"kind": kind, "words": "refused connection", **more}
    return await send.record(desk.store, grant, Outcome.model_validate(given))


async def test_p02_refusal_of_a_later_attempt_settles_nothing(keyed: Desk) -> None:
    run = await keyed.approved()
    grant = await second(keyed, run)

    status = await keyed.record(grant, "failed", "This was refunded already.")

    call, effect = await keyed.call(run), await keyed.effect(grant.key)
    assert status == "unknown"
    assert (call.status, call.result) == ("open", None)
    assert "This was refunded already." in str(effect.error)
    assert "effect.failed" not in await keyed.audit(run)


async def test_p02_refusal_of_a_later_attempt_frees_no_limit(keyed: Desk) -> None:
    """The customer may have 1,000.00 in all: 500.00 of it may be gone."""
    grant = await second(keyed, await keyed.approved(500_00))
    await keyed.record(grant, "failed", "403")
    other, third = await keyed.start(), await keyed.start()
    await keyed.draft(other, note())
    await keyed.draft(third, refund(500_01, order="o2"))
    for who in ("lea", "lou"):
        await keyed.decide(third, who)

    same_subject = await keyed.lease(other, holder="h3")
    over_limit = await keyed.lease(third, holder="h3")

    assert (same_subject.kind, over_limit.kind) == ("refused", "refused")
    assert "The limit of" in str((await keyed.call(third)).result)


async def test_p02_refusal_of_a_later_attempt_is_settled_by_a_receipt(
    keyed: Desk,
) -> None:
    run = await keyed.approved()
    first = await keyed.send(run)
    keyed.clock.go_on(LEASE_OVER)
    again = await keyed.send(run, holder="h2")
    await keyed.record(again, "failed", "409")

    assert await keyed.record(first, "done") == "done"
    assert (await keyed.call(run)).status == "done"


@pytest.mark.parametrize("kind", ["done", "failed"])
async def test_p02_refusal_of_a_later_attempt_is_settled_by_the_look_up(
    keyed: Desk, kind: str
) -> None:
    run = await keyed.approved()
    grant = await second(keyed, run)
    await keyed.record(grant, "failed", "409")
    asked = Grant(key=grant.key, attempt=grant.attempt, arguments=grant.arguments)
    found = Outcome.model_validate({"kind": kind, "words": "seen"})

    await send.record(keyed.store, asked, found, recorded_by="reconcile")

    assert (await keyed.effect(grant.key)).status == kind


async def test_p02_refusal_of_a_later_attempt_is_settled_by_a_person(
    keyed: Desk,
) -> None:
    run = await keyed.approved()
    grant = await second(keyed, run)
    await keyed.record(grant, "failed", "409")
    keyed.clock.go_on(timedelta(minutes=1))
    found = Resolution(
        happened=False, evidence="books", person="lea", person_name="Lea"
    )

    await resolution.resolve(keyed.store, grant.key, found)

    assert (await keyed.effect(grant.key)).status == "failed"


async def test_p02_a_later_attempt_not_sent_is_unknown_once_it_came_to_be_so(
    keyed: Desk,
) -> None:
    """It was marked unknown by a switch while it went on: nothing brings it back."""
    run = await keyed.approved()
    await keyed.send(run)
    keyed.clock.go_on(LEASE_OVER)
    grant = await keyed.send(run, holder="h2")
    keyed.clock.go_on(WINDOW)
    assert (await keyed.lease(run, holder="h3")).kind == "unknown"

    assert await keyed.record(grant, "not_sent") == "unknown"


async def test_p02_lost_answer_within_the_window_is_asked_for_again(
    keyed: Desk,
) -> None:
    run = await keyed.approved()
    first = await keyed.send(run)

    lost = await record(keyed, first, "unknown", may_repeat=True)
    again = await keyed.send(run, holder="h2")

    assert lost.until is not None
    assert (again.key, again.attempt, again.again) == (first.key, 2, True)
    assert await keyed.record(again, "done") == "done"


async def test_p02_lost_answer_without_a_window_is_unknown(desk: Desk) -> None:
    run = await desk.approved()
    grant = await desk.send(run)

    lost = await record(desk, grant, "unknown", may_repeat=True)

    assert (lost.status, lost.until) == ("unknown", None)


async def test_p02_lost_answer_is_asked_for_again_for_a_while_alone(
    keyed: Desk,
) -> None:
    run = await keyed.approved()
    first = await keyed.send(run)
    await record(keyed, first, "unknown", may_repeat=True)
    again = await keyed.send(run, holder="h2")
    keyed.clock.go_on(outcome.REPEAT_FOR)

    lost = await record(keyed, again, "unknown", may_repeat=True)

    assert (lost.status, lost.until) == ("unknown", None)
    assert (await keyed.call(run)).status == "open"


@pytest.mark.parametrize("hold", ["disable", "pause", "cancel"])
async def test_p03_what_is_asked_for_again_passes_the_switches_again(
    keyed: Desk, hold: str
) -> None:
    run = await keyed.approved()
    first = await keyed.send(run)
    await record(keyed, first, "unknown", may_repeat=True)
    if hold == "disable":
        barrier = await keyed.switch("disable", tool="refund")
        assert barrier.sending == (first.key,)
    elif hold == "pause":
        await control.pause(keyed.store, run, by="lea", reason="look")
    else:
        await control.cancel(keyed.store, run, by="lea", reason="enough")

    answer = await keyed.lease(run, holder="h2")

    assert answer.kind == ("stopped" if hold == "pause" else "unknown")
    assert (await keyed.call(run)).status == "open"


async def test_p02_what_a_switch_made_unknown_is_not_asked_for_again(
    keyed: Desk,
) -> None:
    """A worker that comes late says that its answer was lost: it stays unknown."""
    run = await keyed.approved()
    await keyed.send(run)
    keyed.clock.go_on(LEASE_OVER)
    slow = await keyed.granted(run, holder="h2")
    await keyed.switch("halt", tool="refund")

    lost = await record(keyed, slow, "unknown", may_repeat=True)

    assert (lost.status, lost.until) == ("unknown", None)


async def test_p02_what_cannot_be_sent_is_tried_with_growing_pauses(
    desk: Desk,
) -> None:
    run, pauses = await desk.approved(), list[timedelta]()
    for number in range(12):
        grant = await desk.send(run, holder=f"h{number}")
        recorded = await record(desk, grant, "not_sent")
        assert recorded.until is not None
        pauses.append(recorded.until - desk.clock.at)
        desk.clock.go_on(pauses[-1])

    assert pauses == sorted(pauses)
    assert pauses[0] <= outcome.SHORTEST_PAUSE
    assert pauses[-1] == outcome.LONGEST_PAUSE
    assert (await desk.effect(f"{run}:1.0.0")).sending_at is None


async def test_p02_what_cannot_be_sent_fails_after_its_time_and_says_so(
    desk: Desk,
) -> None:
    run = await desk.approved()
    await record(desk, await desk.send(run), "not_sent")
    desk.clock.go_on(outcome.TRY_FOR)

    last = await record(desk, await desk.send(run, holder="h2"), "not_sent")

    call = await desk.call(run)
    assert (last.status, last.until) == ("failed", None)
    told = model_notices.call_never_sent(why="refused connection", hours=1)
    assert call.result == told.text
    assert told.words == (
        "It was not done: refused connection It was tried for 1 hour, and not sent."
    )


async def test_p06_alarm_of_a_connector_is_one_incident_for_all_that_wait(
    desk: Desk,
) -> None:
    for number in range(3):
        run = await desk.approved(customer=f"c{number}")
        grant = await desk.send(run)
        await record(desk, grant, "not_sent", alarm="the mail server's login")
        await control.cancel(desk.store, run, by="lea", reason="enough")
        await desk.lease(run, holder="h2")

    [incident] = await desk.rows(IncidentRow)
    assert incident.title == "Nothing can be sent: the mail server's login"
    assert "refused connection" in incident.detail["words"]
