"""Pausing, resuming and cancelling: one run, or all that match."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Protocol

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, model_validator

from approvals.api import run_body, tenancy
from approvals.api.json_route import StrictRoute
from approvals.api.once import ONCE
from approvals.api.replies import BODY, ONE, STATE
from approvals.api.run_body import Run
from approvals.api.tenancy import VisibleRun
from approvals.api.text import Line, Reason
from approvals.auth.visitor import require
from approvals.dependencies import Parts, PartsDep
from orchestrator.status import RunStatus
from orchestrator.store import many, runs
from orchestrator.store.approvals import Person
from orchestrator.store.engine import Store
from orchestrator.store.many import Verb
from orchestrator.store.runs import Filter, RunEnded
from orchestrator.store.tables import RunRow

router = APIRouter(tags=["runs"], route_class=StrictRoute)

# So many runs are acted on in one request; the answer says whether there are more.
BATCH = 500

Holder = Annotated[Person, Depends(require("runs.hold"))]
ManyHolder = Annotated[Person, Depends(require("runs.hold_many"))]


class Because(BaseModel):
    """Why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Reason


class Which(BaseModel):
    """Which open runs; at least one field is set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workflow: Line | None = None
    status: RunStatus | None = None
    tenant: Line | None = None
    customer: Line | None = None

    @model_validator(mode="after")
    def _names_something(self) -> "Which":
        if not self.model_dump(exclude_none=True):
            raise ValueError(
                "name a workflow, status, tenant or customer; to hold everything, set "
                "a switch"
            )
        return self


class ManyBecause(BaseModel):
    """Which runs, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    filter: Which
    reason: Reason


class Result(BaseModel):
    """What became of one run; `problem` where it ended meanwhile."""

    model_config = ConfigDict(frozen=True)

    run: str
    status: str
    problem: str | None


class Results(BaseModel):
    """What became of each; `more` runs match: ask again."""

    model_config = ConfigDict(frozen=True)

    items: list[Result]
    more: bool


class _Act(Protocol):
    def __call__(
        self, store: Store, run: str, *, by: str, reason: str
    ) -> Awaitable[RunRow]: ...


ONE_RUN = {**BODY, **ONE, **STATE}


@router.post("/runs/{id}:pause", dependencies=ONCE, responses=ONE_RUN)
async def pause_run(
    row: VisibleRun, body: Because, person: Holder, parts: PartsDep
) -> Run:
    """Hold a run: nothing is asked of a model or sent until it is resumed."""
    return await _one(parts, row, runs.pause, person, body)


@router.post("/runs/{id}:resume", dependencies=ONCE, responses=ONE_RUN)
async def resume_run(
    row: VisibleRun, body: Because, person: Holder, parts: PartsDep
) -> Run:
    """Let a paused run go on; its deadlines move by the time it was held."""
    return await _one(parts, row, runs.resume, person, body)


@router.post("/runs/{id}:cancel", dependencies=ONCE, responses=ONE_RUN)
async def cancel_run(
    row: VisibleRun, body: Because, person: Holder, parts: PartsDep
) -> Run:
    """End a run: what waits is cancelled, what is being sent is still recorded."""
    return await _one(parts, row, runs.cancel, person, body)


@router.post("/runs:pause", dependencies=ONCE, responses={**BODY, **STATE})
async def pause_runs(body: ManyBecause, person: ManyHolder, parts: PartsDep) -> Results:
    """Hold the open runs that match."""
    return await _all(parts, "pause", runs.pause, person, body)


@router.post("/runs:resume", dependencies=ONCE, responses={**BODY, **STATE})
async def resume_runs(
    body: ManyBecause, person: ManyHolder, parts: PartsDep
) -> Results:
    """Let the paused runs that match go on."""
    return await _all(parts, "resume", runs.resume, person, body)


@router.post("/runs:cancel", dependencies=ONCE, responses={**BODY, **STATE})
async def cancel_runs(
    body: ManyBecause, person: ManyHolder, parts: PartsDep
) -> Results:
    """End the open runs that match."""
    return await _all(parts, "cancel", runs.cancel, person, body)


async def _one(
    parts: Parts, row: RunRow, act: _Act, person: Person, body: Because
) -> Run:
    found = await act(parts.store, row.id, by=person.id, reason=body.reason)
    parts.deliver_soon(row.id)
    return await run_body.one(parts.store, found)


async def _all(
    parts: Parts, verb: Verb, act: _Act, person: Person, body: ManyBecause
) -> Results:
    wanted = Filter(
        **body.filter.model_dump(exclude={"tenant"}),
        tenant=tenancy.of_list(person, body.filter.tenant),
    )
    async with parts.store.read() as session:
        found = await many.candidates(session, verb, wanted, limit=BATCH + 1)
    items = [
        await _try(
            lambda run=run: act(parts.store, run, by=person.id, reason=body.reason), run
        )
        for run in found[:BATCH]
    ]
    parts.deliver_soon()
    return Results(items=items, more=len(found) > BATCH)


async def _try(act: Callable[[], Awaitable[RunRow]], run: str) -> Result:
    try:
        row = await act()
    except RunEnded as error:
        return Result(run=run, status=error.status, problem=str(error))
    return Result(run=run, status=row.status, problem=None)
