"""P5: Temporal's history holds references; what was said and read stays in our store."""

from collections.abc import AsyncIterator

import pytest
from temporalio.api.history.v1 import HistoryEvent

from keyturn.activities.llm.simulator import call, calls, final, refuse, say
from keyturn.orchestrator.store.runs import control
from tests.engine.stage import DONE, Stage, refund_of

SECRETS = ("INPUTMARK", "ARGMARK", "SAIDMARK", "READMARK", "EDITMARK", "WORDSMARK")


async def test_p05_a_run_leaves_no_content_in_the_history(
    stage: Stage, order: str
) -> None:
    asked = calls(
        [
            ("find_order", {"order_id": order}),
            ("set_note", {"order_id": order, "note": "ARGMARK"}),
            ("write_mail", {"subject": "ARGMARK", "body": "ARGMARK"}),
        ],
        text="SAIDMARK",
    )
    last = final({"summary": "SAIDMARK", "confidence": 0.9})
    run, play = await stage.play(
        asked, say("SAIDMARK, no document"), last, order=order, text="INPUTMARK"
    )
    stage.engine.world.orders[order]["status"] = "READMARK"
    edit = {"subject": "EDITMARK", "body": "EDITMARK"}
    await stage.engine.decide(await stage.engine.approval(run), arguments=edit)
    row = await stage.engine.ended(run)

    assert row.status == "completed"
    assert "READMARK" in play.last_request()
    assert await marks(stage, run) == set()


async def test_p05_failures_leave_no_content_in_the_history(
    stage: Stage, order: str
) -> None:
    asked = calls(
        [
            ("broken_read", {"order_id": "ARGMARK"}),
            ("refund", {"order_id": order, "amount": {"amount": 5, "currency": "USD"}}),
        ]
    )
    run, _ = await stage.play(asked, DONE, order=order, text="INPUTMARK")
    # The tool's own model refuses this, and quotes it in its words.
    stage.engine.world.orders[order]["refunded"] = "READMARK"
    row = await stage.engine.ended(run, seconds=60)

    assert row.status == "handed_off"
    assert await marks(stage, run) == set()


async def test_p05_facts_that_break_in_the_effect_worker_leave_no_content(
    stage: Stage, order: str
) -> None:
    run, _ = await stage.play(call("refund", refund_of(order)), DONE, order=order)
    approval = await stage.engine.approval(run)
    stage.engine.world.orders[order]["refunded"] = "READMARK"
    stage.engine.world.breaks = [RuntimeError("WORDSMARK")]
    await stage.engine.decide(approval)
    await stage.attempted(run, "perform", 3)

    del stage.engine.world.orders[order]["refunded"]
    found = await marks(stage, run)
    await control.cancel(stage.engine.store, run, by="lea", reason="enough")

    assert found == set()


@pytest.mark.parametrize(
    "step",
    [refuse("SAIDMARK"), final({"summary": "SAIDMARK", "confidence": 0.1})],
    ids=["refusal", "low confidence"],
)
async def test_p05_a_fallback_leaves_no_content_in_the_history(
    stage: Stage, step: object
) -> None:
    row, _ = await stage.played(step)  # pyright: ignore[reportArgumentType] a step

    assert row.status == "handed_off"
    assert "SAIDMARK" in str(row.handed_off)
    assert await marks(stage, row.id) == set()


async def marks(stage: Stage, run: str) -> set[str]:
    """Return which marks stand in the histories of a run, anywhere in their bytes."""
    events = [
        event.SerializeToString()
        for name in (run, f"{run}/act/1")
        async for event in history(stage, name)
    ]
    whole = b"".join(events)
    assert len(events) > 10
    return {mark for mark in SECRETS if mark.encode() in whole}


async def history(stage: Stage, name: str) -> AsyncIterator[HistoryEvent]:
    handle = stage.engine.parts.client.get_workflow_handle(name)
    async for event in handle.fetch_history_events():
        yield event
    described = await handle.describe()
    # Failures of attempts that are still retried stand here, not in events.
    for pending in described.raw_description.pending_activities:
        assert not any(mark.encode() in pending.SerializeToString() for mark in SECRETS)
