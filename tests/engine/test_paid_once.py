"""What goes wrong after a reply is paid for: bounded, shown, and never paid again."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import JsonValue
from sqlalchemy import text
from sqlmodel import col, select

from keyturn.activities.llm.simulator import call, raw
from keyturn.orchestrator.store.db import counters
from keyturn.orchestrator.store.incidents import incidents
from keyturn.orchestrator.store.tables import AttemptRow
from tests.engine.engine import running_engine
from tests.engine.stage import DONE, Plays, Stage
from tests.servers import postgres

GOOD = '{"summary": "done", "confidence": 0.9}'


@pytest.fixture(scope="module")
async def stage(
    temporal_address: str, postgres_server: str, postgres_template: str
) -> AsyncIterator[Stage]:
    plays = Plays()
    apps = ("tests.apps.desk", "tests.apps.faulty")
    with postgres.database(postgres_server, template=postgres_template) as url:
        async with running_engine(
            temporal_address,
            url,
            plays.scenario,
            apps=apps,
            code_pauses_s=(0.1, 0.5, 3.0),
        ) as engine:
            yield Stage(engine, plays)


async def attempts(stage: Stage, run: str) -> list[AttemptRow]:
    query = select(AttemptRow).where(col(AttemptRow.run) == run)
    async with stage.engine.store.read() as session:
        found = (
            await session.execute(query.order_by(col(AttemptRow.created_at)))
        ).scalars()
        return list(found)


@asynccontextmanager
async def no_turn_can_be_stored(stage: Stage) -> AsyncGenerator[None]:
    """Break the commit of turns, as a fault of code would."""
    async with stage.engine.store.write() as session:
        await session.execute(
            text(
                "ALTER TABLE turns ADD CONSTRAINT broken CHECK (duration_ms < 0) NOT VALID"
            )
        )
    try:
        yield
    finally:
        async with stage.engine.store.write() as session:
            await session.execute(text("ALTER TABLE turns DROP CONSTRAINT broken"))


async def test_a_reply_whose_turn_cannot_be_stored_is_not_paid_again_and_heals(
    stage: Stage,
) -> None:
    async with no_turn_can_be_stored(stage):
        run, play = await stage.play(DONE)
        row = await stage.engine.until(run, lambda now: now.failing is not None)
        [shown] = (row.failing or {}).values()

    row = await stage.engine.ended(run)

    assert (shown["place"], shown["kind"]) == ("turn 1", "IntegrityError")
    assert (row.status, len(play.requests), row.failing) == ("completed", 1, None)
    assert [one.status for one in await attempts(stage, run)] == ["settled"]
    assert row.cost_microusd == (await attempts(stage, run))[0].cost_microusd


async def test_a_fault_of_code_ends_in_the_fallback_with_one_incident(
    stage: Stage,
) -> None:
    async with no_turn_can_be_stored(stage):
        run, play = await stage.play(DONE)
        row = await stage.engine.ended(run)

    async with stage.engine.store.read() as session:
        incident = await incidents.of_source(session, f"code error in {run}")
        counted = await counters.read(session)

    assert (row.status, len(play.requests)) == ("handed_off", 1)
    assert "code_error: turn 1 failed 4 times (IntegrityError)" in str(row.handed_off)
    assert incident is not None
    assert any(one.name == counters.CODE_ERRORS and one.value >= 4 for one in counted)


async def test_an_exception_in_an_authors_own_run_ends_in_the_fallback(
    stage: Stage,
) -> None:
    play = stage.plays.add(DONE)
    ticket: dict[str, object] = {
        "customer_id": "c1",
        "email": "ann@example.com",
        "text": f"play:{play.name}",
    }
    run = await stage.engine.start_workflow("faulty", ticket)
    shown = await stage.engine.until(run, lambda now: now.failing is not None)
    row = await stage.engine.ended(run, seconds=90)
    handle = stage.engine.parts.client.get_workflow_handle(run)
    history = (await handle.fetch_history()).to_json()

    assert "LookupError" in str(shown.failing)
    assert (row.status, len(play.requests)) == ("handed_off", 1)
    assert "code_error" in str(row.handed_off)
    assert "hunter2222" not in str(row.model_dump()) + history


def counted(usage: dict[str, JsonValue]) -> bytes:
    message: JsonValue = {"role": "assistant", "content": GOOD}
    choice: JsonValue = {"index": 0, "finish_reason": "stop", "message": message}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


USAGES: dict[str, dict[str, JsonValue]] = {
    "beyond any number": {"prompt_tokens": 2**64 - 1, "completion_tokens": 3},
    "more than was sent": {"prompt_tokens": 2**32 - 1, "completion_tokens": 3},
    "nothing": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    "negative": {"prompt_tokens": 1151, "completion_tokens": -35},
}


@pytest.mark.parametrize("usage", USAGES.values(), ids=USAGES.keys())
async def test_p04_a_count_that_cannot_be_is_charged_at_the_reservation(
    stage: Stage, usage: dict[str, JsonValue]
) -> None:
    row, play = await stage.played(raw(counted(usage)))
    [attempt] = await attempts(stage, row.id)

    assert (row.status, len(play.requests)) == ("completed", 1)
    assert attempt.cost_microusd == attempt.held_microusd == row.cost_microusd


UNFINISHED: dict[str, dict[str, JsonValue]] = {
    "an error": {
        "finish_reason": "error",
        "error": {"code": 502, "message": "hung up"},
    },
    "another word": {"finish_reason": "MALFORMED_FUNCTION_CALL"},
}


@pytest.mark.parametrize("end", UNFINISHED.values(), ids=UNFINISHED.keys())
async def test_an_unfinished_reply_is_never_acted_on(
    stage: Stage, end: dict[str, JsonValue]
) -> None:
    function: JsonValue = {
        "name": "set_note",
        "arguments": '{"order_id":"x","note":"n"}',
    }
    asked: JsonValue = [{"id": "a", "type": "function", "function": function}]
    message: JsonValue = {"role": "assistant", "content": None, "tool_calls": asked}
    body = json.dumps({"choices": [{"index": 0, "message": message, **end}]})

    row, play = await stage.played(raw(body.encode()), DONE)
    first, second = await attempts(stage, row.id)

    assert (row.status, len(play.requests)) == ("completed", 2)
    assert await stage.engine.calls(row.id) == []
    assert (first.failure, second.failure) == ("unfinished", None)
    assert "unfinished" in str(first.error)


async def test_a_target_that_is_passed_over_says_why_and_is_counted(
    stage: Stage,
) -> None:
    error = {"message": "Incorrect API key sk-made-up-0123456789", "code": "invalid"}
    step = raw(json.dumps({"error": error}).encode(), status=401)

    row, _ = await stage.played(step, call("find_order", {"order_id": "x"}), DONE)
    first = (await attempts(stage, row.id))[0]
    async with stage.engine.store.read() as session:
        counted = await counters.read(session)

    assert (first.status, first.failure) == ("freed", "rejected")
    assert "Incorrect API key [secret]" in str(first.error)
    assert any(one.kind == "rejected" for one in counted)
