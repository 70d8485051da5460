"""Decisions on an item: commit and deliver the answer, show the next item."""

from typing import Annotated

from fastapi import Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from keyturn.approvals.auth import permissions
from keyturn.approvals.inbox import items, queue, reasons
from keyturn.approvals.inbox.items import Result
from keyturn.approvals.view.wording import sentence
from keyturn.approvals.web import problems, routing
from keyturn.approvals.web.flash import Flash
from keyturn.approvals.web.page import Page, PageDep
from keyturn.orchestrator.rules.authority.binding import DecisionKind
from keyturn.orchestrator.rules.errors import InvalidValue, KeyturnError
from keyturn.orchestrator.store.approvals import decide as approval_decide
from keyturn.orchestrator.store.approvals import edit_drafts
from keyturn.orchestrator.store.approvals.decision import Answer
from keyturn.orchestrator.store.approvals.errors import (
    AlreadyDecided,
    Claimed,
    DraftOpen,
    MayNotDecide,
    NoMoreRounds,
    StaleBinding,
    WaitsForOthers,
)
from keyturn.orchestrator.store.effects import errors, undo

router = routing.of_pages()

# Errors shown on the item's page, with their status; others get an error page.
REFUSALS = (
    AlreadyDecided,
    StaleBinding,
    MayNotDecide,
    Claimed,
    NoMoreRounds,
    DraftOpen,
    WaitsForOthers,
)


class Decision(BaseModel):
    """The form of an item's page; `canned` is the number of a prepared reason."""

    decision: DecisionKind
    binding: Annotated[str, Field(max_length=200)]
    canned: Annotated[str | None, Field(max_length=3)] = None
    reason: Annotated[str, Field(max_length=2_000)] = ""


@router.post("/inbox/{approval}/decide")
async def decide(
    page: PageDep, approval: str, form: Annotated[Decision, Form()]
) -> Response:
    """Approve, reject or ask for changes, bound to what was shown."""
    words = form.reason
    if form.decision != "approve":
        words = reasons.words(form.decision, form.canned, form.reason)
    answer = Answer(decision=form.decision, binding=form.binding, reason=words or None)
    try:
        return await commit(page, approval, answer)
    except (*REFUSALS, InvalidValue) as error:
        return await refused(page, approval, error)


@router.post("/inbox/{approval}/undo")
async def undo_decision(page: PageDep, approval: str) -> Response:
    """Undo a decision, and show the approval that replaces it."""
    person, parts = page.visitor.person, page.parts
    try:
        row = await undo.undo(parts.store, person, approval, "undone on its page")
    except (errors.TooLate, MayNotDecide) as error:
        return await refused(page, approval, error)
    parts.deliver_soon(row.run)
    return RedirectResponse(f"/inbox/{row.id}?done={approval}", status_code=303)


async def commit(page: Page, approval: str, answer: Answer) -> RedirectResponse:
    """Commit the decision, signal the run, and redirect to the next item."""
    person, parts = page.visitor.person, page.parts
    permissions.check(person, "approvals.decide")
    following = await queue.after(parts.store, person, approval)
    row = await approval_decide.decide(
        parts.store, parts.signer, person, approval, answer, heeds_draft=True
    )
    parts.deliver_soon(row.run)
    if answer.arguments is not None:
        await edit_drafts.use(parts.store, approval, person=person.id)
    target = f"/inbox/{following}" if following else "/inbox"
    return RedirectResponse(f"{target}?done={approval}", status_code=303)


async def refused(page: Page, approval: str, error: KeyturnError) -> HTMLResponse:
    """Return the current item with the reason why the answer was refused."""
    status = problems.of_error(error, instance="").problem.status
    conflict = Flash(_title(error), sentence(error))
    return await items.show(page, approval, Result(status=status, conflict=conflict))


TITLES: tuple[tuple[type[KeyturnError], str], ...] = (
    (AlreadyDecided, "Already decided: your answer changed nothing"),
    (StaleBinding, "This item has changed since you saw it: read it again"),
    (MayNotDecide, "You may not decide this"),
    (Claimed, "Somebody else has claimed this item"),
    (DraftOpen, "You have an unsent edit: approve it or discard it"),
    (WaitsForOthers, "This item waits for another action"),
    (NoMoreRounds, "This item cannot be sent back again"),
    (errors.TooLate, "This decision can no longer be undone"),
    (InvalidValue, "The reason is missing"),
)


def _title(error: KeyturnError) -> str:
    return next(words for kind, words in TITLES if isinstance(error, kind))
