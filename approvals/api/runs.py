"""Runs: start, list, show, and add customers' messages."""

from typing import Annotated

from fastapi import Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from keyturn.approvals.api import run_body
from keyturn.approvals.api.fields import Line, Words
from keyturn.approvals.api.idempotency import NATURALLY_ONCE, ONCE, Key
from keyturn.approvals.api.pages import Page, Paged, page
from keyturn.approvals.api.replies import BODY, ONE, STATE, problems
from keyturn.approvals.api.run_body import Run
from keyturn.approvals.auth.visitor import require
from keyturn.approvals.web import routing, tenancy
from keyturn.approvals.web.dependencies import PartsDep, StoreDep
from keyturn.approvals.web.tenancy import Reader, VisibleRun
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.status import RunStatus
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.db import request_keys
from keyturn.orchestrator.store.runs import listing, messages, start
from keyturn.orchestrator.store.runs.listing import Filter
from keyturn.orchestrator.store.runs.start import NewRun

router = routing.of_api("runs")

# A run named by its request's key alone: a repetition after a crash finds it again.
BY_KEY = "idempotency-key"


class StartRun(BaseModel):
    """A run to start. The same source and external id return the first run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workflow: Line
    input: dict[str, JsonValue] = Field(
        description="Must match the contract's input schema"
    )
    tenant: Line | None = None
    source: Line | None = Field(
        default=None,
        description="Where the ticket comes from. The first account that uses a source "
        "owns it for good; other accounts get 403",
    )
    external_id: Line | None = None


class CustomerMessage(BaseModel):
    """A new message from the customer; each external id is accepted once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: Words
    external_id: Line | None = None


@router.post(
    "/runs",
    status_code=202,
    # The key names the run: a repetition after a crash finds the first run.
    dependencies=NATURALLY_ONCE,
    responses={
        **BODY,
        **ONE,
        **STATE,
        **problems(429),
        200: {
            "model": Run,
            "description": "The run that this external id started before",
        },
    },
)
async def start_run(
    wanted: StartRun,
    person: Annotated[Person, Depends(require("runs.start"))],
    parts: PartsDep,
    response: Response,
    key: Key = None,
) -> Run:
    """Start a run. It is committed when this responds; Temporal starts it soon after."""
    new = NewRun(
        workflow=wanted.workflow,
        input=wanted.input,
        tenant=await tenancy.of_new(parts.store, person, wanted.tenant),
        source=wanted.source,
        external_id=wanted.external_id,
        started_by=person.id,
    )
    if wanted.external_id is None and key is not None:
        named = canonical.digest([person.id, key])
        own = {"source": BY_KEY, "external_id": named, "is_own_source": True}
        new = new.model_copy(update=own)
    if new.external_id is not None:
        request_keys.comes_to_the_same()
    row, is_new = await start.start(parts.store, new)
    if is_new:
        parts.deliver_soon(row.id)
    response.status_code = 202 if is_new else 200
    response.headers["Location"] = f"/api/v1/runs/{row.id}"
    return await run_body.one(parts.store, row)


class RunQuery(Paged):
    """A filter of runs."""

    status: RunStatus | None = None
    workflow: Line | None = None
    tenant: Line | None = None
    customer: Line | None = None


@router.get("/runs")
async def list_runs(
    person: Reader, store: StoreDep, wanted: Annotated[RunQuery, Query()]
) -> Page[Run]:
    """List runs, newest first."""
    chosen = Filter(
        workflow=wanted.workflow,
        status=wanted.status,
        tenant=tenancy.of_list(person, wanted.tenant),
        customer=wanted.customer,
    )
    async with store.read() as session:
        rows = await listing.listing(
            session, chosen, limit=wanted.one_more, before=wanted.cursor
        )
        found = await run_body.bodies(session, rows)
    return page(found, wanted, lambda run: run.id)


@router.get("/runs/{id}", responses=ONE)
async def show_run(row: VisibleRun, store: StoreDep) -> Run:
    """Show one run."""
    return await run_body.one(store, row)


@router.post(
    "/runs/{id}/messages", dependencies=ONCE, responses={**BODY, **ONE, **STATE}
)
async def add_message(
    row: VisibleRun,
    message: CustomerMessage,
    person: Annotated[Person, Depends(require("runs.message"))],
    parts: PartsDep,
) -> Run:
    """Add a customer's message to a run; its pending drafts become void."""
    if message.external_id is not None:
        request_keys.comes_to_the_same()
    found = await messages.customer_wrote(
        parts.store,
        row.id,
        text=message.text,
        external_id=message.external_id,
        by=person.id,
    )
    parts.deliver_soon(row.id)
    return await run_body.one(parts.store, found)
