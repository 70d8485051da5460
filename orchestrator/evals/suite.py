"""Runs a suite: every case through the engine; returns a result."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from keyturn.orchestrator.evals import case as cases
from keyturn.orchestrator.evals import checks, engine
from keyturn.orchestrator.evals.case import Case
from keyturn.orchestrator.evals.engine import Engine
from keyturn.orchestrator.evals.people import People
from keyturn.orchestrator.evals.record import Record
from keyturn.orchestrator.rules.errors import KeyturnError
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.runs import control, start
from keyturn.orchestrator.store.runs.errors import RunEnded
from keyturn.orchestrator.store.runs.start import NewRun
from keyturn.orchestrator.store.tenants import tenants

# More at once only makes each slower: the store has one writer.
AT_ONCE = 5


class CaseResult(BaseModel):
    """How one case went; `failures` say what was not as it must be."""

    model_config = ConfigDict(frozen=True)

    id: str
    about: str
    attack: bool
    passed: bool
    failures: tuple[str, ...] = ()
    status: str = ""
    run: str = ""
    turns: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0


class SuiteResult(BaseModel):
    """How a suite went, for exactly these releases and this suite's hash."""

    model_config = ConfigDict(frozen=True)

    suite: str
    suite_hash: str
    releases: dict[str, str]
    scripted: bool
    passed: bool
    cases: tuple[CaseResult, ...]

    @property
    def failed(self) -> int:
        """Return how many cases failed."""
        return sum(not one.passed for one in self.cases)


Progress = Callable[[CaseResult], None]


async def run_suite(
    path: Path,
    settings: Settings,
    *,
    temporal: str | None = None,
    only: tuple[str, ...] = (),
    progress: Progress = lambda _: None,
) -> SuiteResult:
    """Return the result of the suite at `path`; none of its effects leave this process.

    `temporal` is a server's address; without, one is started for the suite. `only`
    names single cases. Raises `SuiteError` for a suite that cannot be read, `Away`
    where a needed service does not answer.
    """
    suite = cases.load(path)
    suite = suite.only(only) if only else suite
    async with engine.running(settings, temporal=temporal) as running:
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(case: Case) -> CaseResult:
            async with slots:
                result = await _judge(running, case)
            progress(result)
            return result

        results = await asyncio.gather(*(one(case) for case in suite.cases))
        return SuiteResult(
            suite=suite.path,
            suite_hash=suite.hash,
            releases=running.releases,
            scripted=running.is_scripted,
            passed=all(result.passed for result in results),
            cases=tuple(results),
        )


async def _judge(running: Engine, case: Case) -> CaseResult:
    began = time.monotonic()
    try:
        found = await _carry_out(running, case)
    except KeyturnError as error:
        return CaseResult(
            id=case.id,
            about=case.about,
            attack=case.attack,
            passed=False,
            failures=(str(error),),
            seconds=round(time.monotonic() - began, 2),
        )
    sent = [one for one in running.outside.sent if one.run == found.run.id]
    failures = checks.failures(case, found, sent, is_scripted=running.is_scripted)
    return CaseResult(
        id=case.id,
        about=case.about,
        attack=case.attack,
        passed=not failures,
        failures=tuple(failures),
        status=found.run.status,
        run=found.run.id,
        turns=found.run.turns,
        tokens=found.tokens,
        cost_usd=found.cost_usd,
        seconds=round(time.monotonic() - began, 2),
    )


async def _carry_out(running: Engine, case: Case) -> Record:
    """Return the record of the case; each has its own tenant, and so its own shop."""
    tenant = f"eval-{case.id}"
    await tenants.rehearse(running.store, tenant, by="eval")
    new = NewRun(workflow=case.workflow, input=case.input, tenant=tenant)
    row, _ = await start.start(running.store, new)
    await running.deliverer.deliver(row.id)
    try:
        return await People(running, case, row.id).see_to()
    finally:
        await _end(running, row.id)


async def _end(running: Engine, run: str) -> None:
    """End a run that waits for nobody, so that the workers can stop."""
    try:
        await control.cancel(running.store, run, by="eval", reason="the case is over")
    except RunEnded:
        return
    await running.deliverer.deliver(run)
