"""A tool's definite no while facts are read ends the call, unless it is under way."""

from datetime import timedelta

from orchestrator.store import leasing
from orchestrator.store.ledger import LEASE, CallRef, LeaseAnswer
from tests.store.desk import Desk, refund


async def test_refused_facts_end_the_call_and_void_its_approval(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())

    answer = await _refuse_facts(desk, run)

    call = await desk.call(run)
    assert (answer.kind, call.status, call.result) == ("failed", "failed", "All gone.")
    assert (await desk.approval(run)).status == "void"


async def test_p02_refused_facts_leave_an_effect_alone_that_is_being_sent(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.decide(run)
    grant = await desk.send(run)

    answer = await _refuse_facts(desk, run)

    assert answer.kind == "busy"
    assert (await desk.call(run)).status == "open"
    assert await desk.record(grant, "done") == "done"
    assert (await desk.call(run)).status == "done"


async def test_refused_facts_free_a_lease_whose_holder_died(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.decide(run)
    grant = await desk.granted(run)
    desk.clock.go_on(LEASE + timedelta(seconds=1))

    answer = await _refuse_facts(desk, run)

    assert answer.kind == "failed"
    assert (await desk.effect(grant.key)).status == "refused"


async def _refuse_facts(desk: Desk, run: str) -> LeaseAnswer:
    ref = CallRef(run=run, turn=1, index=0)
    return await leasing.give_up(desk.store, ref, words="All gone.")
