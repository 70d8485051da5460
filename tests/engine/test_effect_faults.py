"""Faults of code around an effect: bounded and shown, never called failed once sent."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from keyturn.activities.llm.simulator import call
from keyturn.orchestrator.rules.contract.connector import NotSent
from keyturn.orchestrator.store.effects import resolution
from keyturn.orchestrator.store.effects.resolution import Resolution
from keyturn.orchestrator.store.incidents import incidents
from keyturn.orchestrator.store.runs import faults
from keyturn.orchestrator.store.tables import IncidentRow, RunRow
from tests.engine.engine import running_engine
from tests.engine.stage import DONE, Plays, Stage, refund_of
from tests.servers import postgres

FOUND = Resolution(happened=True, evidence="seen", person="lea", person_name="Lea")


@pytest.fixture(scope="module")
async def stage(
    temporal_address: str, postgres_server: str, postgres_template: str
) -> AsyncIterator[Stage]:
    plays = Plays()
    with postgres.database(postgres_server, template=postgres_template) as url:
        async with running_engine(
            temporal_address, url, plays.scenario, code_pauses_s=(0.1, 0.3, 1.0)
        ) as engine:
            yield Stage(engine, plays)


@asynccontextmanager
async def broken(stage: Stage, table: str, check: str) -> AsyncGenerator[None]:
    """Break what is written to a table, as a fault of code would."""
    await _alter(stage, f"{table} ADD CONSTRAINT broken CHECK ({check}) NOT VALID")
    try:
        yield
    finally:
        await _alter(stage, f"{table} DROP CONSTRAINT broken")


async def _alter(stage: Stage, what: str) -> None:
    async with stage.engine.store.write() as session:
        await session.execute(text(f"ALTER TABLE {what}"))


async def incident_of(stage: Stage, run: str) -> IncidentRow | None:
    async with stage.engine.store.read() as session:
        return await incidents.of_source(session, f"code error in {run}")


def is_given_up(row: RunRow) -> bool:
    return any(one.given_up for one in faults.of(row))


async def test_a_lease_that_always_fails_ends_in_words_and_one_incident(
    stage: Stage, order: str
) -> None:
    async with broken(stage, "effects", "attempt < 0"):
        row, _ = await stage.played(call("top_up", refund_of(order)), DONE, order=order)

    [one] = await stage.engine.calls(row.id)
    [shown] = faults.of(row)
    assert (row.status, one.status, stage.posts(row.id)) == (
        "handed_off",
        "crashed",
        [],
    )
    assert "tool_failure: top_up" in str(row.handed_off)
    assert (shown.place, shown.kind, shown.times) == ("call 1.0", "IntegrityError", 4)
    assert await incident_of(stage, row.id) is not None


async def test_a_lease_that_is_mended_in_time_goes_on_and_shows_no_fault(
    stage: Stage, order: str
) -> None:
    async with broken(stage, "effects", "attempt < 0"):
        run, _ = await stage.play(call("top_up", refund_of(order)), DONE, order=order)
        await stage.engine.until(run, lambda now: now.failing is not None)
    row = await stage.engine.ended(run)

    assert (row.status, row.failing) == ("completed", None)
    assert len(stage.posts(run)) == 1


async def test_facts_that_break_after_an_approval_end_it_with_an_incident(
    stage: Stage, order: str
) -> None:
    run, _ = await stage.play(call("refund", refund_of(order)), DONE, order=order)
    approval = await stage.engine.approval(run)
    stage.engine.world.orders[order]["refunded"] = "no number, password=hunter2222"
    await stage.engine.decide(approval)

    row = await stage.engine.ended(run)

    [one] = await stage.engine.calls(run)
    found = await incident_of(stage, run)
    assert (row.status, one.status, stage.posts(run)) == ("handed_off", "crashed", [])
    assert found is not None
    assert "hunter2222" not in str(row.failing) + str(found.detail)


async def test_a_service_that_is_away_opens_no_incident(
    stage: Stage, order: str
) -> None:
    run, _ = await stage.play(call("refund", refund_of(order)), DONE, order=order)
    approval = await stage.engine.approval(run)
    stage.engine.world.unreadable[order] = [NotSent("away")] * 5
    await stage.engine.decide(approval)

    row = await stage.engine.ended(run)

    assert (row.status, stage.posts(run)) == ("completed", ["/refunds"])
    assert await incident_of(stage, run) is None


async def test_p02_a_receipt_that_cannot_be_recorded_is_unknown_never_failed(
    stage: Stage, order: str
) -> None:
    async with broken(stage, "effects", "status <> 'done'"):
        run, play = await stage.play(
            call("top_up", refund_of(order)), DONE, order=order
        )
        row = await stage.engine.until(run, is_given_up)
    [effect] = await stage.engine.effects(run)
    [one] = await stage.engine.calls(run)
    before = len(play.requests)

    await resolution.resolve(stage.engine.store, effect.key, FOUND)
    ended = await stage.engine.ended(run)

    assert (row.status, effect.status, one.status) == ("waiting", "unknown", "open")
    assert (before, len(stage.posts(run))) == (1, 1)
    assert ended.status == "completed"
    assert await incident_of(stage, run) is not None


async def test_p02_a_look_up_whose_code_fails_leaves_it_to_a_person(
    stage: Stage, order: str
) -> None:
    stage.engine.world.breaks = [RuntimeError("502")]
    stage.engine.world.paid[order] = {"id": ["no", "receipt"]}
    run, play = await stage.play(call("pay", refund_of(order)), DONE, order=order)
    row = await stage.engine.until(run, is_given_up)
    [effect] = await stage.engine.effects(run)
    before = len(play.requests)

    await resolution.resolve(stage.engine.store, effect.key, FOUND)
    ended = await stage.engine.ended(run)

    assert (effect.status, faults.of(row)[0].times, before) == ("unknown", 4, 1)
    assert (ended.status, stage.posts(run)) == ("completed", [])
    assert await incident_of(stage, run) is not None
