"""P9: what Temporal lost is started again and goes on from the record."""

import asyncio
from datetime import timedelta

from keyturn.activities.llm.simulator import call, calls
from keyturn.orchestrator.dispatch.jobs import Upkeep
from keyturn.orchestrator.store import outbox
from keyturn.orchestrator.store.runs import control
from tests.engine.stage import DONE, Play, Stage, refund_of

NOW = timedelta(0)


async def test_p09_a_lost_run_goes_on_and_pays_no_turn_again(
    stage: Stage, order: str
) -> None:
    run, play = await waiting(stage, order)
    await terminate(stage, run)

    await compare(stage)
    await stage.engine.decide(await stage.engine.approval(run))
    row = await stage.engine.ended(run)

    assert (row.status, len(play.requests), row.turns) == ("completed", 2, 2)
    assert stage.posts(run) == ["/refunds"]


async def test_p09_a_decision_of_a_lost_run_starts_it_again(
    stage: Stage, order: str
) -> None:
    run, _ = await waiting(stage, order)
    approval = await stage.engine.approval(run)
    await terminate(stage, run)

    await stage.engine.decide(approval)
    row = await stage.engine.ended(run)

    assert (row.status, stage.posts(run)) == ("completed", ["/refunds"])


async def test_p09_a_call_that_was_decided_and_done_holds_up_no_restart(
    stage: Stage, order: str
) -> None:
    run, play = await stage.play(
        calls([("refund", refund_of(order)), ("write_mail", MAIL)]), DONE, order=order
    )
    await stage.engine.decide(await stage.engine.approval(run, "refund"))
    await done(stage, run, "/refunds")
    mail = await stage.engine.approval(run, "write_mail")
    await terminate(stage, run)

    await compare(stage)
    await stage.engine.decide(mail)
    row = await stage.engine.ended(run)

    assert (row.status, len(play.requests)) == ("completed", 2)
    assert stage.posts(run) == ["/refunds"]


async def test_p09_a_lost_loop_is_started_again(stage: Stage, order: str) -> None:
    run, play = await waiting(stage, order)
    await terminate(stage, f"{run}/act/1")
    await closed(stage, run)

    await compare(stage)
    await stage.engine.decide(await stage.engine.approval(run))
    row = await stage.engine.ended(run)

    assert (row.status, len(play.requests)) == ("completed", 2)
    assert stage.posts(run) == ["/refunds"]


async def test_p09_a_run_that_was_cancelled_in_temporal_goes_on(
    stage: Stage, order: str
) -> None:
    run, _ = await waiting(stage, order)
    await stage.engine.parts.client.get_workflow_handle(run).cancel()
    await closed(stage, run)

    await compare(stage)
    await stage.engine.decide(await stage.engine.approval(run))

    assert (await stage.engine.ended(run)).status == "completed"


async def test_p09_runs_that_are_there_are_left_alone(stage: Stage, order: str) -> None:
    run, _ = await waiting(stage, order)
    handle = stage.engine.parts.client.get_workflow_handle(run)
    before = (await handle.describe()).run_id

    await compare(stage)

    assert (await handle.describe()).run_id == before


async def test_p09_a_paused_run_is_left_alone_until_it_is_resumed(
    stage: Stage, order: str
) -> None:
    run, _ = await waiting(stage, order)
    await control.pause(stage.engine.store, run, by="lea", reason="look")
    await terminate(stage, run)
    await compare(stage)
    described = await stage.engine.parts.client.get_workflow_handle(run).describe()

    await control.resume(stage.engine.store, run, by="lea", reason="go")
    await stage.engine.decide(await stage.engine.approval(run))
    row = await stage.engine.ended(run)

    assert described.status is not None
    assert described.status.name == "TERMINATED"
    assert row.status == "completed"


async def test_p09_a_decision_that_no_process_delivered_is_delivered_by_the_sweep(
    stage: Stage, order: str
) -> None:
    run, _ = await waiting(stage, order)
    approval = await stage.engine.approval(run)

    await stage.engine.decide(approval, deliver=False)
    row = await stage.engine.ended(run)

    assert (row.status, stage.posts(run)) == ("completed", ["/refunds"])


async def test_p09_a_decision_whose_deliverer_died_is_delivered_later(
    stage: Stage, order: str
) -> None:
    run, _ = await waiting(stage, order)
    approval = await stage.engine.approval(run)
    await stage.engine.decide(approval, deliver=False)
    await outbox.claim(stage.engine.store, run=run)

    row = await stage.engine.ended(run, seconds=60)

    assert (row.status, stage.posts(run)) == ("completed", ["/refunds"])


MAIL = {"subject": "Refund", "body": "We refunded you."}


async def waiting(stage: Stage, order: str) -> tuple[str, Play]:
    run, play = await stage.play(call("refund", refund_of(order)), DONE, order=order)
    await stage.engine.approval(run)
    await stage.engine.until(run, lambda row: row.status == "waiting")
    return run, play


async def terminate(stage: Stage, name: str) -> None:
    await stage.engine.parts.client.get_workflow_handle(name).terminate("lost")


async def closed(stage: Stage, run: str) -> None:
    handle = stage.engine.parts.client.get_workflow_handle(run)
    async with asyncio.timeout(60):
        while (await handle.describe()).close_time is None:  # noqa: ASYNC110 Temporal's own work
            await asyncio.sleep(0.05)


async def done(stage: Stage, run: str, path: str) -> None:
    async with asyncio.timeout(60):
        while path not in stage.posts(run):  # noqa: ASYNC110 another task's work
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)


async def compare(stage: Stage) -> None:
    """Compare all open runs with Temporal now, as a process does now and then."""
    upkeep = Upkeep(stage.engine.deliverer, compare_every=NOW, grace=NOW)
    await upkeep.compare()
