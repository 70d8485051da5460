"""P9: years pass at an approval, on the time-skipping server: timers, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from temporalio.testing import WorkflowEnvironment

from keyturn import Escalation
from keyturn.activities.llm.simulator import call
from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import control
from keyturn.orchestrator.store.tables import ApprovalRow
from tests.engine.engine import running_engine
from tests.engine.server_time import server_time
from tests.engine.stage import DONE, Plays, Stage, refund_of

DAY = timedelta(days=1)
YEAR = 365 * DAY
CHAIN = (Escalation(role="lead", within=2 * YEAR),)
RULES = (Rule("refund", approvers=1, within=YEAR, escalate=CHAIN),)


@pytest.fixture
async def stage(
    time_skipping: WorkflowEnvironment, sqlite_tables: str
) -> AsyncIterator[Stage]:
    """An engine whose store reads the time of the server that skips it."""
    address = time_skipping.client.service_client.config.target_host
    plays = Plays()
    with server_time(address) as clock:
        async with running_engine(
            address, sqlite_tables, plays.scenario, clock=clock
        ) as engine:
            yield Stage(engine, plays)


async def go_live(stage: Stage, *, undo: timedelta | None = None) -> None:
    """Make a release live that waits for years."""
    store = stage.engine.store
    async with store.read() as session:
        _, live = await releases.live(session, "desk")
    tools = live.tools
    if undo is not None:
        tools = tuple(spec.model_copy(update={"undo": undo}) for spec in tools)
    patient = live.model_copy(update={"rules": RULES, "tools": tools})
    await releases.publish(
        store, patient, code_version="patient", signer=stage.engine.signer
    )


async def waiting(stage: Stage) -> tuple[str, ApprovalRow]:
    order = "o-years"
    run, _ = await stage.play(call("refund", refund_of(order)), DONE, order=order)
    return run, await stage.engine.approval(run)


async def test_p09_years_escalate_and_reject_and_never_approve(
    stage: Stage, time_skipping: WorkflowEnvironment
) -> None:
    await go_live(stage)
    began = await time_skipping.get_current_time()
    run, asked = await waiting(stage)

    await time_skipping.sleep(YEAR + DAY)
    escalated = await approval(stage, run, level=1)
    await time_skipping.sleep(2 * YEAR)
    ended = await stage.engine.ended(run)
    ended_at = await time_skipping.get_current_time()

    assert (asked.role, escalated.role) == ("agent", "lead")
    [row] = await stage.engine.approvals(run)
    assert (row.status, ended.status) == ("expired", "completed")
    assert await stage.engine.effects(run) == []
    assert stage.posts(run) == []
    assert ended_at - began >= 3 * YEAR


async def test_p09_after_two_years_of_pause_what_waited_is_done(
    stage: Stage, time_skipping: WorkflowEnvironment
) -> None:
    await go_live(stage)
    run, asked = await waiting(stage)
    store = stage.engine.store
    await control.pause(store, run, by="lea", reason="look")
    await time_skipping.sleep(2 * YEAR)

    await control.resume(store, run, by="lea", reason="fine")
    await stage.engine.deliverer.deliver(run)
    row = await stage.engine.approval(run)
    await stage.engine.decide(row)
    await time_skipping.sleep(DAY)
    ended = await stage.engine.ended(run)

    assert row.answer_by - asked.answer_by >= 2 * YEAR
    assert (ended.status, len(stage.posts(run))) == ("completed", 1)


async def test_p09_time_to_undo_is_a_timer_that_lasts(
    stage: Stage, time_skipping: WorkflowEnvironment
) -> None:
    await go_live(stage, undo=6 * DAY)
    run, asked = await waiting(stage)
    await stage.engine.decide(asked)

    await time_skipping.sleep(5 * DAY)
    before = stage.posts(run)
    await time_skipping.sleep(2 * DAY)
    ended = await stage.engine.ended(run)

    assert (before, ended.status) == ([], "completed")
    assert len(stage.posts(run)) == 1


async def approval(stage: Stage, run: str, *, level: int) -> ApprovalRow:
    """Return the run's approval once it has come to this step of its chain."""
    found = await stage.engine.approval(run)
    await stage.engine.until(run, lambda row: row.status == "waiting")
    while found.level < level:
        await asyncio.sleep(0.05)
        found = await stage.engine.approval(run)
    return found
