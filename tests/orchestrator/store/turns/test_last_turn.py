"""The last turn of a run's one loop ends the run in the same commit."""

from datetime import timedelta

import pytest

from keyturn.orchestrator.rules.status import ENDED_RUNS
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.effects import send, undo
from keyturn.orchestrator.store.effects.errors import TooLate
from keyturn.orchestrator.store.runs import control, end, errors, messages
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.tables import ApprovalRow
from keyturn.orchestrator.store.turns import commit
from keyturn.orchestrator.store.turns import position as turn_position
from keyturn.orchestrator.store.turns.turn import Committed, Turn
from tests.orchestrator.store.desk import Desk, person, refund

SOLVED = {"summary": "done", "confidence": 0.9}


async def conclude(desk: Desk, run: str, *, ends_run: bool, read: int = 0) -> bool:
    """Commit a last turn, and tell whether it stood as the last."""
    stood: list[bool] = []
    position = await turn_position.load(desk.store, run=run, step=1, turn=1)
    last = Turn(
        run=run,
        step=1,
        turn=1,
        text=canonical.text({"text": "Done."}),
        output=dict(SOLVED),
        read_messages=tuple(m.id for m in position.unread[:read] if m.id is not None),
        ends_run=ends_run,
    )

    def save(made: Committed) -> str:
        stood.append(made.is_final)
        return "{}"

    await commit.commit(desk.store, last, save, position)
    return stood == [True]


async def test_the_last_turn_ends_the_run(desk: Desk) -> None:
    run = await desk.start()

    assert await conclude(desk, run, ends_run=True)

    row = await desk.run(run)
    assert (row.status, row.output) == ("completed", SOLVED)
    assert row.ended_at is not None
    assert (await desk.audit(run))[-2:] == ["turn", "run.completed"]


async def test_a_step_of_several_ends_nothing_but_itself(desk: Desk) -> None:
    run = await desk.start()

    assert await conclude(desk, run, ends_run=False)

    assert (await desk.run(run)).status == "running"


@pytest.mark.parametrize("read", [0, 1])
async def test_an_answer_without_the_customers_last_words_ends_no_run(
    desk: Desk, read: int
) -> None:
    run = await desk.start()
    for text in ("And another thing.", "And one more.")[: read + 1]:
        await messages.customer_wrote(
            desk.store, run, text=text, external_id=None, by="c1"
        )

    assert not await conclude(desk, run, ends_run=True, read=read)

    assert (await desk.run(run)).status == "running"


async def test_a_run_that_was_ended_stays_as_it_ended(desk: Desk) -> None:
    run = await desk.start()
    await control.cancel(desk.store, run, by="lea", reason="no")
    await end.finish(desk.store, run, end.Ending(outcome="cancelled", reason="no"))

    await conclude(desk, run, ends_run=True)

    assert (await desk.run(run)).status == "cancelled"
    assert "run.completed" not in await desk.audit(run)


async def test_an_attempt_that_outlives_its_run_asks_nobody(desk: Desk) -> None:
    """Its worker stood still while the run was cancelled, and goes on now."""
    run = await desk.start()
    await control.cancel(desk.store, run, by="lea", reason="no")
    await end.finish(desk.store, run, end.Ending(outcome="cancelled", reason="no"))

    (gated,) = await desk.draft(run, refund())

    assert gated.gate == "denied"
    assert await desk.rows(ApprovalRow, run=run) == []
    assert (await desk.call(run)).status == "refused"


async def test_a_cancel_is_not_lost_to_the_last_answer(desk: Desk) -> None:
    run = await desk.start()
    await control.cancel(desk.store, run, by="lea", reason="a duplicate")

    await conclude(desk, run, ends_run=True)

    row = await desk.run(run)
    assert (row.status, row.output) == ("cancelled", None)


async def test_p02_an_ended_run_stays_ended_when_its_effect_is_unknown(
    desk: Desk,
) -> None:
    """Two loops of one run at once: one handed it off while the other was sending."""
    run = await desk.approved()
    grant = await desk.send(run)
    await end.finish(desk.store, run, end.Ending(outcome="handed_off", reason="x"))

    await desk.record(grant, "unknown")

    assert (await desk.run(run)).status == "handed_off"
    assert (await desk.effect(grant.key)).status == "unknown"


async def test_p02_a_run_that_ends_gives_its_unused_leases_back(desk: Desk) -> None:
    run = await desk.approved()
    grant = await desk.granted(run)

    await end.finish(desk.store, run, end.Ending(outcome="handed_off", reason="x"))

    desk.clock.go_on(timedelta(minutes=1))
    assert not (await desk.begin(grant)).may_send
    assert (await desk.lease(await desk.approved())).kind == "leased"
    assert (await desk.approval(run)).status == "cancelled"


async def test_a_decision_of_an_ended_run_is_not_asked_anew(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    row = await desk.decide(run, "amy", "reject")
    await desk.tamper(row, undo_until=desk.clock() + timedelta(minutes=1))
    await end.finish(desk.store, run, end.Ending(outcome="handed_off", reason="x"))

    with pytest.raises(TooLate):
        await undo.undo(desk.store, person("amy"), row.id, "a slip")

    assert (await desk.approval(run)).status == "rejected"


async def test_p02_what_a_dead_worker_sent_for_an_ended_run_is_a_persons_task(
    desk: Desk,
) -> None:
    """The loop that would look again was ended with its run."""
    run = await desk.approved()
    grant = await desk.send(run)
    await end.finish(desk.store, run, end.Ending(outcome="handed_off", reason="x"))

    early = await send.give_to_people(desk.store)
    desk.clock.go_on(timedelta(minutes=1))
    late = await send.give_to_people(desk.store)

    assert (early, late) == (0, 1)
    assert (await desk.effect(grant.key)).status == "unknown"
    assert (await desk.run(run)).status == "handed_off"
    assert await desk.record(grant, "done") == "done"
    assert await send.give_to_people(desk.store) == 0


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (end.Ending(outcome="cancelled"), "nobody cancelled it"),
        (end.Ending(outcome="completed", step=1), "output of step 1, which has none"),
        (end.Ending(outcome="completed", step=9), "output of step 9, which has none"),
    ],
    ids=["cancelled", "no output", "no step"],
)
async def test_a_run_ends_only_as_the_record_says(
    desk: Desk, ending: end.Ending, words: str
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())

    with pytest.raises(errors.NoSuchEnd, match=words):
        await end.finish(desk.store, run, ending)

    assert (await desk.run(run)).status not in ENDED_RUNS


async def test_what_takes_back_does_not_end_while_it_is_open(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    async with desk.store.write() as session:
        row = await run_lookup.lock(session, run)
        row.compensates = "run-0:1.0.0"

    with pytest.raises(errors.NoSuchEnd, match="while a compensation is open"):
        await end.finish(desk.store, run, end.Ending(outcome="completed", step=1))
