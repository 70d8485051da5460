"""The start of a run: choice of workflow, and a form for its contract's input."""

from typing import Annotated, NamedTuple
from uuid import uuid4

from fastapi import Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from keyturn.approvals.auth import permissions
from keyturn.approvals.view.form import fill, read, shape, view
from keyturn.approvals.view.form.sent import sent_form
from keyturn.approvals.web import routing, tenancy
from keyturn.approvals.web.page import Page, PageDep
from keyturn.orchestrator.rules.errors import InvalidValue, MalformedJson
from keyturn.orchestrator.rules.text import json_object
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import start as run_start
from keyturn.orchestrator.store.runs.errors import ExternalIdReused, NotStarted
from keyturn.orchestrator.store.runs.start import NewRun
from keyturn.orchestrator.store.tenants.errors import SourceTaken

router = routing.of_pages()

# The page itself names the run, so that a form sent twice starts it once.
SOURCE = "new-run page"


@router.get("/runs/new")
async def choose(page: PageDep, workflow: str | None = None) -> HTMLResponse:
    """Show the list of workflows, or the form of one."""
    permissions.check(page.visitor.person, "runs.start")
    if workflow is not None:
        return await _form(page, workflow, {})
    async with page.parts.store.read() as session:
        found = await releases.all_live(session)
    if len(found) == 1:
        return await _form(page, found[0][0], {})
    return await page.show("ops/choose_workflow.html", workflows=found)


class Started(BaseModel):
    """What the form says besides the input, whose names the contract gives.

    `once` identifies the page, so that a form sent twice starts one run.
    """

    workflow: Annotated[str, Field(max_length=200)]
    once: Annotated[str, Field(max_length=64)]
    source: Annotated[str, Field(max_length=200)] = ""
    external_id: Annotated[str, Field(max_length=200)] = ""


class Refused(NamedTuple):
    """Why a run did not start, and the page's status."""

    status: int
    words: str


@router.post("/runs/new")
async def start(
    page: PageDep, request: Request, sent: Annotated[Started, Form()]
) -> Response:
    """Start the run, or show the form again with its errors."""
    person, parts = page.visitor.person, page.parts
    permissions.check(person, "runs.start")
    form = await sent_form(request)
    async with parts.store.read() as session:
        _, release = await releases.live(session, sent.workflow)
    found = read.read(shape.of(release.input_schema), form, fresh=True)
    if found.errors:
        return await _form(page, sent.workflow, form, errors=found.errors)
    new = NewRun(
        workflow=sent.workflow,
        input=json_object.of(found.value),
        tenant=await tenancy.of_new(parts.store, person, None),
        source=sent.source or (None if sent.external_id else SOURCE),
        is_own_source=not sent.source,
        external_id=sent.external_id or sent.once,
        started_by=person.id,
    )
    try:
        row, _ = await run_start.start(parts.store, new)
    except (InvalidValue, MalformedJson) as error:
        return await _form(page, sent.workflow, form, refused=Refused(422, str(error)))
    except SourceTaken as error:
        return await _form(page, sent.workflow, form, refused=Refused(403, str(error)))
    except (NotStarted, ExternalIdReused) as error:
        return await _form(page, sent.workflow, form, refused=Refused(409, str(error)))
    parts.deliver_soon(row.id)
    return RedirectResponse(f"/runs/{row.id}", status_code=303)


async def _form(
    page: Page,
    workflow: str,
    form: dict[str, list[str]],
    *,
    errors: dict[str, str] | None = None,
    refused: Refused | None = None,
) -> HTMLResponse:
    async with page.parts.store.read() as session:
        _, release = await releases.live(session, workflow)
    wanted = shape.of(release.input_schema)
    return await page.show(
        "ops/new_run.html",
        status=refused.status if refused else 422 if errors else 200,
        release=release,
        fields=view.view(wanted, form or fill.fill(wanted, {}), errors),
        problem_words=refused.words if refused else "",
        once=uuid4().hex,
    )
