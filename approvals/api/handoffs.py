"""Handed-off runs: take over, add notes, record as done outside."""

from typing import Annotated

from fastapi import Depends
from pydantic import BaseModel, ConfigDict

from keyturn.approvals.api import run_body
from keyturn.approvals.api.fields import Words
from keyturn.approvals.api.idempotency import ONCE
from keyturn.approvals.api.record_body import Note
from keyturn.approvals.api.replies import BODY, ONE, STATE
from keyturn.approvals.api.run_body import Run
from keyturn.approvals.auth.visitor import require
from keyturn.approvals.web import routing
from keyturn.approvals.web.dependencies import StoreDep
from keyturn.approvals.web.tenancy import VisibleRun
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.store.runs import handoffs, notes

router = routing.of_api("hand-offs")

Worker = Annotated[Person, Depends(require("handoffs.work"))]


class Said(BaseModel):
    """The text of a note."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: Words


@router.post("/runs/{id}:take", dependencies=ONCE, responses={**ONE, **STATE})
async def take(row: VisibleRun, person: Worker, store: StoreDep) -> Run:
    """Take over a hand-off; 409 names the person who has already taken it over."""
    found = await handoffs.take(store, row.id, person)
    return await run_body.one(store, found)


@router.post(
    "/runs/{id}:done-outside", dependencies=ONCE, responses={**BODY, **ONE, **STATE}
)
async def done_outside(
    row: VisibleRun, said: Said, person: Worker, store: StoreDep
) -> Run:
    """Record what was done outside Keyturn, and close the hand-off."""
    found = await handoffs.settle(store, row.id, person, text=said.text)
    return await run_body.one(store, found)


@router.post(
    "/runs/{id}/notes",
    status_code=201,
    dependencies=ONCE,
    responses={**BODY, **ONE, **STATE},
)
async def add_note(
    row: VisibleRun,
    said: Said,
    person: Annotated[Person, Depends(require("notes.write"))],
    store: StoreDep,
) -> Note:
    """Add a note to a run, for people; no model reads it."""
    found = await notes.add_note(store, row.id, person=person, text=said.text)
    return Note.model_validate(found)
