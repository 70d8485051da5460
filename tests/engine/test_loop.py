"""The loop with models that err: repaired, retried or handed to a person, never stuck."""

import asyncio
import json

import pytest
from sqlmodel import col, select

from keyturn.activities.llm.simulator import (
    call,
    calls,
    cut,
    error,
    final,
    malformed,
    raw,
    refuse,
    slow,
    truncate,
)
from keyturn.activities.llm.simulator.step import SimStep
from keyturn.orchestrator.store.runs import messages
from keyturn.orchestrator.store.tables import AttemptRow
from tests.engine.stage import DONE, Stage, refund_of

NO_OBJECT = malformed("find_order", "[1]")
WRONG: dict[str, SimStep] = {
    "no JSON": malformed("find_order", "{"),
    "no object": NO_OBJECT,
    "NaN": malformed("find_order", '{"order_id": NaN}'),
    "duplicate keys": malformed("find_order", '{"order_id":"a","order_id":"b"}'),
    "a lone surrogate": malformed("find_order", '{"order_id":"\\ud800"}'),
    "nested braces": malformed("find_order", '{"a":' * 10_000 + "1" + "}" * 10_000),
    "an integer too large": malformed("find_order", '{"order_id":1e999}'),
    "of another type": call("find_order", {"order_id": 7}),
    "an unknown tool": call("approve_refund", {"id": "ap-1"}),
    "33 calls": calls([("find_order", {"order_id": "x"})] * 33),
    "cut at its limit": truncate("I would"),
    "no document": final("words"),
    "of another schema": final({"summary": 7}),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_reply_is_told_and_repaired(stage: Stage, wrong: SimStep) -> None:
    row, play = await stage.played(wrong, wrong, DONE)

    assert (row.status, len(play.requests), row.turns) == ("completed", 3, 1)


async def test_a_reply_that_is_wrong_three_times_is_handed_off(stage: Stage) -> None:
    row, play = await stage.played(NO_OBJECT)

    assert (row.status, len(play.requests)) == ("handed_off", 3)
    assert "invalid_output" in str(row.handed_off)


async def test_a_refusal_is_handed_off_with_its_words(stage: Stage) -> None:
    row, _ = await stage.played(refuse("I will not do that."))

    assert row.status == "handed_off"
    assert "I will not do that" in str(row.handed_off)


FAULTS: dict[str, SimStep] = {
    "429": error(429, retry_after_s=0.2),
    "500": error(500),
    "503": error(503),
    "a cut": cut(),
    "an empty body": raw(b""),
    "no JSON": raw(b"<html>", content_type="text/html"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_a_provider_that_fails_once_is_asked_again(
    stage: Stage, fault: SimStep
) -> None:
    row, play = await stage.played(fault, DONE)

    assert (row.status, len(play.requests)) == ("completed", 2)


async def test_a_provider_that_rejects_is_passed_over(stage: Stage) -> None:
    row, play = await stage.played(error(400), DONE)

    assert row.status == "completed"
    assert [one.wire for one in play.requests] == ["openai", "anthropic"]


async def test_a_slow_provider_is_cut_off_and_charged(stage: Stage) -> None:
    row, play = await stage.played(slow(7, DONE), DONE)

    assert (row.status, len(play.requests)) == ("completed", 2)
    async with stage.engine.store.read() as session:
        found = await session.get(AttemptRow, await first_attempt(stage, row.id))
    assert found is not None
    assert (found.status, found.tokens) == ("settled", found.held_tokens)


async def test_providers_that_all_fail_are_handed_off(stage: Stage) -> None:
    row, _ = await stage.played(error(401))

    assert row.status == "handed_off"
    assert row.use_safer_model


async def test_a_model_that_repeats_itself_is_warned_and_ended(
    stage: Stage, order: str
) -> None:
    row, play = await stage.played(call("find_order", {"order_id": order}), order=order)

    assert (row.status, len(play.requests)) == ("handed_off", 6)
    assert "loop" in str(row.handed_off)
    assert "you have asked for exactly this 5 times" in play.last_request()


async def test_a_budget_of_turns_ends_the_run(stage: Stage) -> None:
    steps = [call("find_order", {"order_id": f"x{n}"}) for n in range(60)]

    row, play = await stage.played(*steps)

    assert (row.status, len(play.requests)) == ("handed_off", 40)
    assert "all 40 turns" in str(row.handed_off)


async def test_low_confidence_is_handed_off_with_the_answer(stage: Stage) -> None:
    row, _ = await stage.played(final({"summary": "perhaps", "confidence": 0.2}))

    assert row.status == "handed_off"
    assert "perhaps" in str(row.handed_off)


async def test_a_tool_that_breaks_is_handed_off(stage: Stage) -> None:
    row, _ = await stage.played(call("broken_read", {"order_id": "x"}), DONE)

    assert row.status == "handed_off"
    assert "tool_failure: broken_read" in str(row.handed_off)


async def test_facts_that_cannot_be_read_cost_one_reply(
    stage: Stage, order: str
) -> None:
    stage.engine.world.unreadable[order] = [RuntimeError("shop is away")] * 9

    row, play = await stage.played(call("refund", refund_of(order)), DONE, order=order)

    assert (row.status, len(play.requests)) == ("handed_off", 1)
    assert "tool_failure: refund" in str(row.handed_off)


async def test_facts_that_come_late_are_waited_for(stage: Stage, order: str) -> None:
    stage.engine.world.unreadable[order] = [RuntimeError("shop is away")] * 2

    run, play = await stage.play(call("refund", refund_of(order)), DONE, order=order)
    await stage.engine.approval(run)

    assert len(play.requests) == 1


async def test_siblings_go_on_while_one_call_waits(stage: Stage, order: str) -> None:
    run, play = await stage.play(
        calls(
            [
                ("refund", refund_of(order)),
                ("find_order", {"order_id": order}),
                ("set_note", {"order_id": f"{order}-2", "note": "hm"}),
            ]
        ),
        DONE,
        order=order,
    )
    approval = await stage.engine.approval(run)
    async with asyncio.timeout(60):
        while {c.status for c in (await stage.engine.calls(run))[1:]} != {"done"}:  # noqa: ASYNC110 other processes' work
            await asyncio.sleep(0.05)
    waiting = len(play.requests)

    await stage.engine.decide(approval)
    row = await stage.engine.ended(run)

    assert waiting == 1
    assert row.status == "completed"
    assert sorted(stage.posts(run)) == ["/notes", "/refunds"]


async def test_calls_with_one_id_of_the_provider_are_all_carried_out(
    stage: Stage, order: str
) -> None:
    other = f"{order}-2"
    row, play = await stage.played(
        calls(
            [("set_note", {"order_id": o, "note": "hm"}) for o in (order, other)],
            ids=["call_1", "call_1"],
        ),
        DONE,
        order=order,
    )

    assert row.status == "completed"
    keys = {key for _, key, _ in stage.engine.world.posted if row.id in key}
    assert keys == {f"{row.id}:1.0.0", f"{row.id}:1.1.0"}
    ids = [one.id for one in play.requests[-1].calls]
    assert len(set(ids)) == 2


async def test_a_message_that_comes_with_the_last_answer_is_answered(
    stage: Stage,
) -> None:
    run, play = await stage.play(slow(4, DONE), DONE)
    async with asyncio.timeout(60):
        while not play.requests:  # noqa: ASYNC110 another task's work
            await asyncio.sleep(0.05)
    await messages.customer_wrote(
        stage.engine.store, run, text="and my address?", external_id=None, by="c"
    )

    row = await stage.engine.ended(run)

    assert (row.status, len(play.requests)) == ("completed", 2)
    assert "and my address?" in play.last_request()


DIRTY = "a\x00b\x1b\u202e\u200d" + "x" * 300


async def test_control_characters_of_a_model_are_kept_and_harmless(
    stage: Stage, order: str
) -> None:
    asked = calls(
        [
            ("refund", refund_of(order)),
            ("find_order", {"order_id": order}),
            ("set_note", {"order_id": "n" * 5_000, "note": "hm"}),
        ],
        ids=[DIRTY, "call\x00", "c"],
        text=DIRTY,
    )
    run, play = await stage.play(asked, refuse("no\x00 never"), order=order)
    approval = await stage.engine.approval(run)
    await stage.engine.decide(approval, decision="reject", reason="no")

    row = await stage.engine.ended(run)

    assert (row.status, len(play.requests)) == ("handed_off", 2)
    assert "\x00" not in approval.reason


LONE = b"\\ud800"
OPENAI_REPLY = {
    "id": "LONE",
    "model": "m",
    "object": "chat.completion",
    "created": 1,
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


def openai_says(message: dict[str, object], stop: str) -> SimStep:
    """A reply of OpenAI's form, its marks LONE put in the place of lone surrogates."""
    choice = {
        "index": 0,
        "finish_reason": stop,
        "message": {"role": "assistant", **message},
    }
    body = json.dumps({**OPENAI_REPLY, "choices": [choice]}).encode()
    return raw(body.replace(b"LONE", LONE))


async def test_half_characters_of_a_model_are_told_and_repaired(stage: Stage) -> None:
    named = {"name": "find_LONE", "arguments": "{}"}
    call_of = {"id": "LONE", "type": "function", "function": named}

    row, play = await stage.played(
        openai_says({"content": "LONE"}, "stop"),
        openai_says({"content": "LONE", "tool_calls": [call_of]}, "tool_calls"),
        DONE,
    )

    assert (row.status, len(play.requests)) == ("completed", 3)


async def test_half_characters_of_a_refusal_are_kept(stage: Stage) -> None:
    row, _ = await stage.played(
        openai_says({"content": None, "refusal": "no LONE\x00"}, "stop")
    )

    assert row.status == "handed_off"


async def test_dirty_results_of_tools_are_told(stage: Stage, order: str) -> None:
    run, play = await stage.play(
        call("find_order", {"order_id": order}), DONE, order=order
    )
    stage.engine.world.orders[order]["status"] = "\ud800\x00 " + "y" * 100_000

    row = await stage.engine.ended(run)

    assert (row.status, len(play.requests)) == ("completed", 2)


async def first_attempt(stage: Stage, run: str) -> str:
    query = (
        select(AttemptRow.id)
        .where(col(AttemptRow.run) == run)
        .order_by(col(AttemptRow.id))
    )
    async with stage.engine.store.read() as session:
        return (await session.execute(query)).scalars().first() or ""


async def test_a_quick_read_is_answered_within_its_turn(
    stage: Stage, order: str
) -> None:
    row, play = await stage.played(
        call("find_order", {"order_id": order}), DONE, order=order
    )

    assert "delivered" in play.last_request()
    assert await stage.activities(row.id) == ["think", "think"]


async def test_a_slow_read_has_an_activity_of_its_own(stage: Stage, order: str) -> None:
    stage.engine.world.slow[order] = 1.5

    row, play = await stage.played(
        call("find_order", {"order_id": order}), DONE, order=order
    )

    assert "delivered" in play.last_request()
    assert await stage.activities(row.id) == ["think", "run_tool", "think"]
