"""Deciding an item: the answer is committed, delivered, and the next item shown."""

from typing import Annotated, cast

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import JsonValue

from approvals import problems
from approvals.auth import permissions
from approvals.facts import parsed
from approvals.form import read, shape
from approvals.form.sent import sent_form
from approvals.inbox import items, queue, reasons
from approvals.inbox.flash import Flash
from approvals.inbox.item import Editing
from approvals.page import Page, PageDep
from orchestrator.binding import DecisionKind
from orchestrator.errors import InvalidValue, KeyturnError, MalformedJson
from orchestrator.store import approvals, desk, drafts, undo
from orchestrator.store.approvals import (
    AlreadyDecided,
    Answer,
    EditRefused,
    MayNotDecide,
    StaleBinding,
)

router = APIRouter()

# What goes back to the item's page, with a status of its own; the rest is an error page.
REFUSALS = (AlreadyDecided, StaleBinding, MayNotDecide, InvalidValue)


@router.post("/inbox/{approval}/decide")
async def decide(  # noqa: PLR0913, PLR0917 the form's fields
    page: PageDep,
    approval: str,
    decision: Annotated[DecisionKind, Form()],
    binding: Annotated[str, Form(max_length=200)],
    canned: Annotated[str | None, Form(max_length=3)] = None,
    reason: Annotated[str, Form(max_length=2_000)] = "",
) -> Response:
    """Approve, reject or ask for changes, on what was shown."""
    words = reasons.words(decision, canned, reason) if decision != "approve" else reason
    answer = Answer(decision=decision, binding=binding, reason=words or None)
    try:
        return await _commit(page, approval, answer)
    except REFUSALS as error:
        return await _refused(page, approval, error)


@router.post("/inbox/{approval}/edit")
async def edit(
    page: PageDep,
    approval: str,
    request: Request,
    binding: Annotated[str, Form(max_length=200)],
    reason: Annotated[str, Form(max_length=2_000)] = "",
) -> Response:
    """Approve with other arguments; what was written is kept whatever happens."""
    await items.save_draft(page, approval, request)
    form = await sent_form(request)
    found = await _read(page, approval, form)
    if found.errors:
        words = "Some fields cannot be used as they are; each says why."
        return await items.show(
            page,
            approval,
            status=422,
            form_problem=words,
            editing=Editing(form=form, errors=found.errors, is_open=True),
        )
    answer = Answer(
        decision="approve",
        binding=binding,
        arguments=cast("dict[str, JsonValue]", found.value),
        reason=reason or None,
    )
    try:
        return await _commit(page, approval, answer)
    except (EditRefused, InvalidValue, MalformedJson) as error:
        return await items.show(
            page,
            approval,
            status=422,
            form_problem=str(error),
            editing=Editing(form=form, is_open=True),
        )
    except REFUSALS as error:
        return await _refused(page, approval, error)


@router.post("/inbox/{approval}/undo")
async def undo_decision(page: PageDep, approval: str) -> Response:
    """Take a decision back, and show what is asked anew."""
    person, parts = page.visitor.person, page.parts
    try:
        row = await undo.undo(parts.store, person, approval, "undone on its page")
    except (undo.TooLate, MayNotDecide) as error:
        return await _refused(page, approval, error)
    parts.deliver_soon(row.run)
    return RedirectResponse(f"/inbox/{row.id}", status_code=303)


async def _commit(page: Page, approval: str, answer: Answer) -> RedirectResponse:
    """Commit the decision, ring the run, and go on to the next item."""
    person, parts = page.visitor.person, page.parts
    permissions.check(person, "approvals.decide")
    following = await queue.after(parts.store, person, approval)
    row = await approvals.decide(parts.store, parts.signer, person, approval, answer)
    parts.deliver_soon(row.run)
    if answer.arguments is not None:
        await drafts.drop(parts.store, approval, person=person.id)
    target = f"/inbox/{following}" if following else "/inbox"
    return RedirectResponse(f"{target}?done={approval}", status_code=303)


async def _read(page: Page, approval: str, form: dict[str, list[str]]) -> read.Reading:
    person = page.visitor.person
    item = await desk.item(
        page.parts.store, approval, person=person.id, tenant=person.tenant
    )
    wanted = shape.of(item.release.tool(item.approval.tool).parameters)
    return read.read(wanted, form, shown=parsed(item.approval.arguments))


async def _refused(page: Page, approval: str, error: KeyturnError) -> HTMLResponse:
    """Return the item as it is now, saying why the answer was not taken."""
    status = problems.of_error(error, instance="").problem.status
    return await items.show(
        page, approval, status=status, conflict=Flash(_title(error), str(error))
    )


def _title(error: KeyturnError) -> str:
    match error:
        case AlreadyDecided():
            return "Somebody was first: your answer changed nothing"
        case StaleBinding():
            return "This item has changed since you saw it: read it again"
        case MayNotDecide():
            return "You may not decide this"
        case undo.TooLate():
            return "It cannot be undone any more"
        case _:
            return "A reason is missing"
