"""P2: a provider that honours a key is asked again under it, within its window alone."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.store.runs import control, end
from tests.orchestrator.store.desk import FACTS, WITHIN, Desk, open_desk
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
