"""What holds a run and lets it go on, calls that meet it, and whom the outbox signals."""

from datetime import timedelta

from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.rules.text.model_notices import ToolData
from keyturn.orchestrator.store import outbox
from keyturn.orchestrator.store.ledger.effects import CallRef
from keyturn.orchestrator.store.runs import calls, control
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.switches import active, switches
from keyturn.orchestrator.store.turns import commit
from keyturn.orchestrator.store.turns import position as turn_position
from keyturn.orchestrator.store.turns.turn import Committed, DraftedCall, Turn
from tests.orchestrator.store.desk import Desk, note, refund

HOUR = timedelta(hours=1)


async def pause(desk: Desk, run: str) -> None:
    await control.pause(desk.store, run, by="lea", reason="look")


async def clear(desk: Desk, run: str) -> None:
    del run
    await switches.clear(desk.store, "s1", by="lea", reason="over")


async def resume(desk: Desk, run: str) -> None:
    await control.resume(desk.store, run, by="lea", reason="over")


async def two_calls(desk: Desk, sibling: str) -> str:
    """Start a run whose turn has an approved refund and another call."""
    run = await desk.start()
    other = find(1) if sibling == "read" else note(1, order="o2")
    await desk.draft(run, refund(), other)
    await desk.answer(await desk.approval(run, "pending"), "approve")
    return run


def find(index: int = 0) -> DraftedCall:
    """Return a drafted read."""
    return DraftedCall(
        index=index,
        tool="find_order",
        provider_id="call_1",
        arguments=canonical.text({"order_id": "o1"}),
    )


async def end_sibling(desk: Desk, run: str, sibling: str) -> None:
    """Let the other call of the turn have its answer."""
    if (await desk.call(run, index=1)).status != "open":
        return
    if sibling == "action":
        grant = await desk.granted(run, index=1, holder="h2")
        await desk.begin(grant, holder="h2")
        await desk.record(grant, "done")
        return
    if not await calls.stand(desk.store, run, 1, 1):
        await calls.answer_read(
            desk.store,
            CallRef(run=run, turn=1, index=1),
            status="done",
            answer=ToolData("{}"),
        )


async def paused(desk: Desk, run: str) -> bool:
    """Tell whether nothing of the run begins now, its sibling included."""
    async with desk.store.read() as session:
        await session.read_clock()
        row = await run_lookup.get(session, run)
        everywhere = [one for one in await active.active(session) if not one.scope.tool]
    return row.paused_by is not None or bool(everywhere)


async def delivered(desk: Desk) -> set[str]:
    """Deliver what is due and return the runs that were signalled."""
    due = await outbox.claim(desk.store)
    await outbox.delivered(desk.store, [row for one in due for row in one.ids])
    return {one.run for one in due}


async def workflow_ids(desk: Desk, run: str) -> set[str]:
    """Return the workflows that are rung for a run."""
    due = await outbox.claim(desk.store, run=run)
    return {workflow_id for one in due for workflow_id in one.workflow_ids}


async def last_turn(desk: Desk, run: str, *, ends_run: bool = True) -> Committed:
    """Commit a turn whose output is the run's."""
    seen: list[Committed] = []

    def save(made: Committed) -> str:
        seen.append(made)
        return "{}"

    position = await turn_position.load(desk.store, run=run, step=1, turn=1)
    last = Turn(
        run=run,
        step=1,
        turn=1,
        output={"summary": "done", "confidence": 0.9},
        ends_run=ends_run,
    )
    await commit.commit(desk.store, last, save, position)
    return seen[0]
