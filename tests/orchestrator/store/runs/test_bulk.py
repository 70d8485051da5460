"""All runs that match, held at once: a fact that holds before a row of theirs says so."""

import pytest
from sqlmodel import col, select

from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.rules.status import BulkVerb
from keyturn.orchestrator.store.runs import bulk as run_bulk
from keyturn.orchestrator.store.runs import control, errors
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.runs.bulk import NewBulk
from keyturn.orchestrator.store.runs.listing import Filter
from keyturn.orchestrator.store.tables import BulkRow, OutboxRow
from keyturn.orchestrator.store.turns import position as turn_position
from tests.orchestrator.store.desk import Desk, refund

TWO: dict[BulkVerb, int] = {"pause": 2, "resume": 2, "cancel": 2}


async def test_a_pause_holds_before_any_run_is_written(desk: Desk) -> None:
    run = await desk.approved()

    bulk = await _ask(desk, "pause", workflow="desk")
    answer = await desk.lease(run)

    row = await desk.run(run)
    assert (bulk.total, bulk.done) == (1, 0)
    assert answer.kind == "stopped"
    assert (row.stopped_by, row.paused_by) == ("pause by lea", "lea")
    assert row.stopped_at == bulk.created_at


async def test_a_pause_stops_what_is_leased_and_not_yet_sent(desk: Desk) -> None:
    run = await desk.approved()
    granted = await desk.granted(run)

    await _ask(desk, "pause", workflow="desk")
    sending = await desk.begin(granted)

    assert not sending.may_send
    assert "paused" in sending.why


async def test_no_model_is_asked_for_a_run_that_a_pause_has_yet_to_reach(
    desk: Desk,
) -> None:
    run = await desk.start()

    await _ask(desk, "pause", workflow="desk")
    position = await turn_position.load(desk.store, run=run, step=1, turn=1)

    assert position.run.paused_by == "lea"
    assert await turn_position.stop(desk.store, position, hold.by_pause("lea"))


async def test_a_pause_leaves_others_and_later_runs_alone(desk: Desk) -> None:
    other = await desk.start(customer="c2")
    await desk.start(customer="c1")

    await _ask(desk, "pause", customer="c1")
    later = await desk.start(customer="c1")
    await _work(desk)

    assert (await desk.run(other)).paused_by is None
    assert (await desk.run(later)).paused_by is None


async def test_a_run_that_is_resumed_by_itself_stays_so(desk: Desk) -> None:
    one, other = await desk.start(customer="c1"), await desk.start(customer="c2")

    await _ask(desk, "pause", workflow="desk")
    await control.resume(desk.store, one, by="amy", reason="this one may")
    await _work(desk)

    assert (await desk.run(one)).paused_by is None
    assert (await desk.run(other)).paused_by == "lea"


async def test_what_a_person_stops_reaches_no_more_runs(desk: Desk) -> None:
    run = await desk.start()
    bulk = await _ask(desk, "pause", workflow="desk")

    stopped = await run_bulk.stop(desk.store, bulk.id, by="lou", tenant=None)
    await _work(desk)

    assert run_bulk.state(stopped) == "stopped"
    assert (await desk.run(run)).paused_by is None
    with pytest.raises(errors.BulkEnded):
        await run_bulk.stop(desk.store, bulk.id, by="lou", tenant=None)


async def test_a_resume_frees_the_calls_that_the_pause_held(desk: Desk) -> None:
    run = await desk.approved()
    await _ask(desk, "pause", workflow="desk")
    await desk.lease(run)
    assert (await desk.call(run)).held_by == "pause by lea"

    await _ask(desk, "resume", workflow="desk")
    await _work(desk)

    assert (await desk.call(run)).held_by is None


async def test_a_resume_rings_each_run_and_moves_its_deadlines(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    before = (await desk.approval(run)).answer_by
    await _ask(desk, "pause", workflow="desk")
    await _work(desk)

    desk.clock.go_on(by=before - desk.clock())
    await _ask(desk, "resume", workflow="desk")
    await _work(desk)

    row = await desk.run(run)
    assert (row.status, row.paused_by, row.stopped_at) == ("queued", None, None)
    assert (await desk.approval(run)).answer_by > before
    assert await _bells(desk, "resume") == [run]


async def test_what_is_asked_last_holds(desk: Desk) -> None:
    run = await desk.start()
    first = await _ask(desk, "pause", workflow="desk")

    await _ask(desk, "resume", workflow="desk")
    await _work(desk)

    async with desk.store.read() as session:
        ended = await run_bulk.get(session, first.id, tenant=None)
    assert run_bulk.state(ended) == "stopped"
    assert (await desk.run(run)).paused_by is None


async def test_a_cancel_lets_nothing_in_scope_begin_to_send(desk: Desk) -> None:
    run = await desk.approved()
    granted = await desk.granted(run)

    await _ask(desk, "cancel", workflow="desk")
    sending = await desk.begin(granted)
    await _work(desk)

    assert not sending.may_send
    assert (await desk.run(run)).cancel_reason == "look"
    assert await _bells(desk, "cancel") == [run]


async def test_bells_wait_while_many_are_unheard(desk: Desk) -> None:
    ids = [await desk.start(customer=f"c{n}") for n in range(5)]
    await _ask(desk, "pause", workflow="desk")
    await _work(desk)

    await _ask(desk, "resume", workflow="desk")
    while await run_bulk.work(desk.store, sizes=TWO, most_undelivered=2):
        pass

    assert await _bells(desk, "resume") == ids[:2]
    assert [(await desk.run(one)).paused_by for one in ids[2:]] == ["lea"] * 3


async def test_a_crash_between_batches_loses_and_repeats_nothing(desk: Desk) -> None:
    ids = [await desk.start(customer=f"c{n}") for n in range(5)]
    bulk = await _ask(desk, "pause", workflow="desk")

    await run_bulk.work(desk.store, sizes=TWO)
    async with desk.store.read() as session:
        between = await run_bulk.get(session, bulk.id, tenant=None)
    await _work(desk)

    async with desk.store.read() as session:
        row = await run_bulk.get(session, bulk.id, tenant=None)
    assert (between.done, run_bulk.state(between)) == (2, "running")
    assert (row.done, run_bulk.state(row)) == (5, "done")
    kinds = [await desk.audit(one) for one in ids]
    assert all(found.count("run.paused") == 1 for found in kinds)


async def test_p03_a_run_that_is_paused_while_a_resume_is_under_way_stays_paused(
    desk: Desk,
) -> None:
    ids = [await desk.start(customer=f"c{n}") for n in range(5)]
    await _ask(desk, "pause", workflow="desk")
    await _work(desk)
    await _ask(desk, "resume", workflow="desk")
    await run_bulk.work(desk.store, sizes=TWO)

    row = await control.pause(desk.store, ids[-1], by="amy", reason="this one is wrong")
    await _work(desk)

    assert row.paused_by == "amy"
    assert (await desk.run(ids[-1])).paused_by == "amy"
    assert [(await desk.run(one)).paused_by for one in ids[:-1]] == [None] * 4
    assert "run.paused" in (await desk.audit(ids[-1]))[-1:]


@pytest.mark.parametrize("first", ["pause", "resume"])
async def test_p03_what_is_asked_first_is_done_first_though_somebody_holds_it(
    desk: Desk, first: BulkVerb
) -> None:
    """Two filters that overlap: what is asked last holds, whoever looks when."""
    run = await desk.start()
    await _ask(desk, "pause", customer="c1")
    await _work(desk)
    second: BulkVerb = "resume" if first == "pause" else "pause"
    held = await _ask(desk, first, workflow="desk")
    await _ask(desk, second, tenant="default")

    async with desk.store.write() as session:
        await session.get(BulkRow, held.id, with_for_update=True)
        if not desk.store.is_sqlite:
            assert not await run_bulk.work(desk.store)
    await _work(desk)

    paused = (await desk.run(run)).paused_by
    assert paused == ("lea" if second == "pause" else None)


async def test_p09_a_cancel_that_is_stopped_leaves_no_run_half_cancelled(
    desk: Desk,
) -> None:
    """Whoever looked at a run while it stood found it cancelled, and it is, whole."""
    run = await desk.start()
    await desk.draft(run, refund())
    bulk = await _ask(desk, "cancel", workflow="desk")
    async with desk.store.write() as session:
        await run_lookup.lock(session, run)

    await run_bulk.stop(desk.store, bulk.id, by="lou", tenant=None)

    assert (await desk.run(run)).cancel_reason == "look"
    assert (await desk.approval(run)).status == "cancelled"
    assert await _bells(desk, "cancel") == [run]


async def _ask(desk: Desk, verb: BulkVerb, **which: str) -> BulkRow:
    new = NewBulk(
        verb=verb, filter=Filter.model_validate(which), reason="look", by="lea"
    )
    return await run_bulk.begin(desk.store, new)


async def _work(desk: Desk) -> None:
    while await run_bulk.work(desk.store):
        pass


async def _bells(desk: Desk, kind: str) -> list[str]:
    query = (
        select(OutboxRow.run)
        .where(col(OutboxRow.kind) == kind, col(OutboxRow.done_at).is_(None))
        .order_by(col(OutboxRow.id))
    )
    async with desk.store.read() as session:
        return list((await session.execute(query)).scalars())
