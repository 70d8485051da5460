"""Pause, resume and cancel: one run, or all runs that match a filter."""

from collections.abc import Awaitable
from datetime import datetime
from typing import Annotated, Protocol

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from keyturn.approvals.api import run_body
from keyturn.approvals.api.fields import Line, PathId, Reason
from keyturn.approvals.api.idempotency import ONCE
from keyturn.approvals.api.pages import Page, Paged, page
from keyturn.approvals.api.replies import BODY, ONE, STATE
from keyturn.approvals.api.run_body import Run
from keyturn.approvals.auth.visitor import require
from keyturn.approvals.web import routing, tenancy
from keyturn.approvals.web.dependencies import Parts, PartsDep, StoreDep
from keyturn.approvals.web.tenancy import Reader, VisibleRun
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.status import BulkVerb, RunStatus
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.runs import bulk, control
from keyturn.orchestrator.store.runs.bulk import NewBulk, State
from keyturn.orchestrator.store.runs.listing import Filter
from keyturn.orchestrator.store.tables import BulkRow, RunRow

router = routing.of_api("runs")

Holder = Annotated[Person, Depends(require("runs.hold"))]
ManyHolder = Annotated[Person, Depends(require("runs.hold_many"))]


class Because(BaseModel):
    """Why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Reason


class Matching(BaseModel):
    """A filter of runs; null matches any value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workflow: Line | None = None
    status: RunStatus | None = None
    tenant: Line | None = None
    customer: Line | None = None


class Which(Matching):
    """A filter of open runs; at least one field must be set."""

    @model_validator(mode="after")
    def _names_something(self) -> "Which":
        if not self.model_dump(exclude_none=True):
            raise ValueError(
                "name a workflow, status, tenant or customer; to stop all runs, set a switch "
                "instead"
            )
        return self


class ManyBecause(BaseModel):
    """The runs, and the reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    filter: Which
    reason: Reason


class Bulk(BaseModel):
    """A pause, resume or cancel of all runs that match, with its progress."""

    model_config = ConfigDict(frozen=True)

    id: str
    verb: BulkVerb
    filter: Matching
    reason: str
    by: str
    state: State
    total: int = Field(
        description="The number of runs that matched when it was requested"
    )
    done: int
    left: int
    created_at: datetime
    ended_at: datetime | None
    stopped_by: str | None = Field(
        description="Who stopped it, or replaced it with another bulk"
    )


class _Act(Protocol):
    def __call__(
        self, store: Store, run: str, *, by: str, reason: str
    ) -> Awaitable[RunRow]: ...


ONE_RUN = {**BODY, **ONE, **STATE}


@router.post("/runs/{id}:pause", dependencies=ONCE, responses=ONE_RUN)
async def pause_run(
    row: VisibleRun, body: Because, person: Holder, parts: PartsDep
) -> Run:
    """Pause a run: no model is called and nothing is sent until it is resumed."""
    return await _one(parts, row, control.pause, person, body)


@router.post("/runs/{id}:resume", dependencies=ONCE, responses=ONE_RUN)
async def resume_run(
    row: VisibleRun, body: Because, person: Holder, parts: PartsDep
) -> Run:
    """Resume a paused run; its deadlines move by the duration of the pause."""
    return await _one(parts, row, control.resume, person, body)


@router.post("/runs/{id}:cancel", dependencies=ONCE, responses=ONE_RUN)
async def cancel_run(
    row: VisibleRun, body: Because, person: Holder, parts: PartsDep
) -> Run:
    """Cancel a run: pending items are cancelled; what is being sent is still recorded."""
    return await _one(parts, row, control.cancel, person, body)


BULK = {**BODY, **STATE}


@router.post("/runs:pause", status_code=202, dependencies=ONCE, responses=BULK)
async def pause_runs(body: ManyBecause, person: ManyHolder, parts: PartsDep) -> Bulk:
    """Pause the open runs that match; runs that start later are not paused.

    The pause is in effect when this responds. The runs' rows are updated in batches:
    `done` of `total`.
    """
    return await _all(parts, "pause", person, body)


@router.post("/runs:resume", status_code=202, dependencies=ONCE, responses=BULK)
async def resume_runs(body: ManyBecause, person: ManyHolder, parts: PartsDep) -> Bulk:
    """Resume the paused runs that match, at a limited rate."""
    return await _all(parts, "resume", person, body)


@router.post("/runs:cancel", status_code=202, dependencies=ONCE, responses=BULK)
async def cancel_runs(body: ManyBecause, person: ManyHolder, parts: PartsDep) -> Bulk:
    """Cancel the open runs that match; after the response none of them starts sending."""
    return await _all(parts, "cancel", person, body)


@router.get("/bulks")
async def list_bulks(
    person: Reader, store: StoreDep, wanted: Annotated[Paged, Query()]
) -> Page[Bulk]:
    """List bulk pauses, resumes and cancels, newest first."""
    async with store.read() as session:
        rows = await bulk.listing(
            session, tenant=person.tenant, limit=wanted.one_more, before=wanted.cursor
        )
    return page([bulk_body(row) for row in rows], wanted, lambda one: one.id)


@router.get("/bulks/{id}", responses=ONE)
async def show_bulk(id: PathId, person: Reader, store: StoreDep) -> Bulk:  # noqa: A002 the path's name
    """Show the progress of a bulk pause, resume or cancel."""
    async with store.read() as session:
        return bulk_body(await bulk.get(session, id, tenant=person.tenant))


@router.post("/bulks/{id}:stop", dependencies=ONCE, responses={**ONE, **STATE})
async def stop_bulk(id: PathId, person: ManyHolder, store: StoreDep) -> Bulk:  # noqa: A002 the path's name
    """Stop it: it reaches no more runs; those already reached stay as they are."""
    return bulk_body(await bulk.stop(store, id, by=person.id, tenant=person.tenant))


def bulk_body(row: BulkRow) -> Bulk:
    """Return its body."""
    names = ("id", "reason", "by", "total", "done", "created_at", "ended_at")
    return Bulk(
        **{name: getattr(row, name) for name in (*names, "stopped_by")},
        verb=row.verb,
        filter=Matching.model_validate(
            {name: getattr(row, name) for name in Matching.model_fields}
        ),
        state=bulk.state(row),
        left=0 if row.ended_at else max(0, row.total - row.done),
    )


async def _one(
    parts: Parts, row: RunRow, act: _Act, person: Person, body: Because
) -> Run:
    found = await act(parts.store, row.id, by=person.id, reason=body.reason)
    parts.deliver_soon(row.id)
    return await run_body.one(parts.store, found)


async def _all(parts: Parts, verb: BulkVerb, person: Person, body: ManyBecause) -> Bulk:
    wanted = Filter(
        **body.filter.model_dump(exclude={"tenant"}),
        tenant=tenancy.of_list(person, body.filter.tenant),
    )
    new = NewBulk(
        verb=verb,
        filter=wanted,
        reason=body.reason,
        by=person.id,
        by_tenant=person.tenant,
    )
    return bulk_body(await parts.bulk(new))
