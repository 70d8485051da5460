"""Deciding several like items at once: chosen, shown in full, confirmed, reported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, Field
from sqlmodel import col

from keyturn.approvals.api.approval_body import summary_of
from keyturn.approvals.auth import permissions
from keyturn.approvals.inbox import choices, reasons
from keyturn.approvals.inbox.choices import AFTER
from keyturn.approvals.view import wording
from keyturn.approvals.web import routing
from keyturn.approvals.web.flash import Flash
from keyturn.approvals.web.page import Page, PageDep
from keyturn.approvals.web.page_links import turning
from keyturn.orchestrator.rules.clock import system_clock
from keyturn.orchestrator.rules.errors import InvalidValue, KeyturnError, NotFound
from keyturn.orchestrator.rules.status import UNDOABLE
from keyturn.orchestrator.store.approvals import batch, read_receipts
from keyturn.orchestrator.store.approvals.batch import MOST, Bound
from keyturn.orchestrator.store.approvals.decision import Answer
from keyturn.orchestrator.store.approvals.errors import MayNotDecide
from keyturn.orchestrator.store.db import form_results
from keyturn.orchestrator.store.effects import errors, undo
from keyturn.orchestrator.store.tables import ApprovalRow
from keyturn.orchestrator.store.views import item as view_item

router = routing.of_pages()

# The reason in the record.
UNDONE = "undone with those decided at once"
CAME = "several decided at once"


@dataclass(frozen=True)
class Result:
    """The result for one item: it was not decided if there is a problem."""

    id: str
    summary: str
    amount: str
    problem: str
    row: ApprovalRow


class Came(BaseModel):
    """The result of one answer to several items: each one's problem, or empty."""

    decision: str
    outcomes: dict[str, str]


Items = Annotated[list[str], Query(max_length=200)]
Name = Annotated[str, Query(max_length=200)]


@router.get("/inbox/several")
async def several(
    page: PageDep, tool: Name = "", rule: Annotated[str, Query(max_length=2_000)] = ""
) -> HTMLResponse:
    """Show the items that may be decided at once; of one tool and rule, a page."""
    return await _choosing(page, tool=tool, rule=rule)


@router.get("/inbox/several/confirm")
async def confirm(page: PageDep, item: Items = []) -> HTMLResponse:  # noqa: B006 FastAPI copies it
    """Show each chosen item in full, with the total."""
    permissions.check(page.visitor.person, "approvals.decide")
    chosen = col(ApprovalRow.id).in_(set(item))
    groups = choices.grouped(await choices.choices_of(page, chosen, limit=len(item)))
    found = [one for group in groups for one in group.choices]
    problem = choices.problem_with(groups, found, asked=len(set(item)))
    if problem:
        return await _choosing(page, problem=problem, chosen=item)
    return await page.show(
        "inbox/several_confirm.html",
        group=groups[0],
        reasons=reasons.REJECT,
        problem=None,
    )


class Decisions(BaseModel):
    """The form that answers several items: the n-th binding is the n-th item's."""

    item: Annotated[list[str], Field(max_length=200)]
    binding: Annotated[list[str], Field(max_length=200)]
    decision: Literal["approve", "reject"]
    canned: Annotated[str | None, Field(max_length=3)] = None
    reason: Annotated[str, Field(max_length=2_000)] = ""


@router.post("/inbox/several/decide")
async def decide(page: PageDep, form: Annotated[Decisions, Form()]) -> Response:
    """Give one answer to all chosen items; each has a result of its own."""
    person, parts = page.visitor.person, page.parts
    permissions.check(person, "approvals.decide")
    try:
        words = _words(form)
        bound = _bound(form.item, form.binding)
        await read_receipts.check(parts.store, person, {b.id: b.binding for b in bound})
        answer = Answer(decision=form.decision, binding="", reason=words or None)
        came = await batch.decide(
            parts.store, parts.signer, person, bound, answer, heeds_drafts=True
        )
    except (InvalidValue, NotFound) as error:
        refused = Flash("Nothing was decided", wording.sentence(error))
        return await _choosing(page, problem=refused, chosen=form.item)
    outcomes = dict(zip([one.id for one in bound], came, strict=True))
    return await _done(page, form.decision, outcomes)


@router.post("/inbox/several/undo")
async def undo_several(
    page: PageDep, item: Annotated[list[str], Form(max_length=MOST)]
) -> Response:
    """Undo decisions that were made at once, each item by itself."""
    person, parts = page.visitor.person, page.parts
    permissions.check(person, "approvals.decide")
    outcomes: dict[str, ApprovalRow | KeyturnError] = {}
    for name in dict.fromkeys(item):
        try:
            outcomes[name] = await undo.undo(parts.store, person, name, UNDONE)
        except (errors.TooLate, MayNotDecide) as error:
            outcomes[name] = error
    return await _done(page, "undo", outcomes)


@router.get("/inbox/several/done")
async def done(page: PageDep, of: str = "") -> Response:
    """Show the result of each item; the page can be loaded again."""
    if not of:
        return RedirectResponse("/inbox/several", status_code=303)
    person, store = page.visitor.person, page.parts.store
    kept = await form_results.find(store, person=person.id, kind=CAME, result=of)
    came = Came.model_validate(kept)
    found = [
        await _result(page, name, problem) for name, problem in came.outcomes.items()
    ]
    rows = [one.row for one in found if not one.problem]
    now = system_clock()
    return await page.show(
        "inbox/several_done.html",
        decision=came.decision,
        results=found,
        decided=len(rows),
        totals=choices.totals_of(rows),
        undoable=[one.id for one in rows if _is_undoable(one, came.decision, now=now)],
    )


async def _done(
    page: Page, decision: str, outcomes: Mapping[str, ApprovalRow | KeyturnError]
) -> Response:
    """Store the result of each item, and redirect to the page that shows it."""
    rows = [one for one in outcomes.values() if isinstance(one, ApprovalRow)]
    for run in {row.run for row in rows}:
        page.parts.deliver_soon(run)
    problems = {
        name: str(one) if isinstance(one, KeyturnError) else ""
        for name, one in outcomes.items()
    }
    result = await form_results.save(
        page.parts.store,
        person=page.visitor.person.id,
        kind=CAME,
        result=Came(decision=decision, outcomes=problems).model_dump(),
    )
    return RedirectResponse(f"/inbox/several/done?of={result}", status_code=303)


def _is_undoable(row: ApprovalRow, decision: str, *, now: datetime) -> bool:
    is_open = row.status in UNDOABLE and row.consumed_by is None
    in_time = row.undo_until is not None and now < row.undo_until
    return decision != "undo" and is_open and in_time


def _words(form: Decisions) -> str:
    if form.decision == "approve":
        return form.reason
    words = reasons.words(form.decision, form.canned, form.reason)
    if not words:
        raise InvalidValue("reason: a rejection needs a reason; the model reads it")
    return words


def _bound(items: Sequence[str], bindings: Sequence[str]) -> list[Bound]:
    if len(items) != len(bindings):
        raise InvalidValue(
            f"items: {len(items)} came with {len(bindings)} bindings; choose them again"
        )
    return [
        Bound(id=name, binding=binding)
        for name, binding in zip(items, bindings, strict=True)
    ]


async def _choosing(
    page: Page,
    *,
    problem: Flash | None = None,
    chosen: Sequence[str] = (),
    tool: str = "",
    rule: str = "",
) -> HTMLResponse:
    permissions.check(page.visitor.person, "approvals.decide")
    groups = await choices.groups_of(page, tool, rule)
    last = groups[0].last if tool and groups else None
    return await page.show(
        "inbox/several.html",
        status=422 if problem else 200,
        groups=groups,
        is_one=bool(tool),
        pages=turning(page.request.query_params, last, name=AFTER),
        problem=problem,
        chosen=set(chosen),
        most=MOST,
    )


async def _result(page: Page, name: str, problem: str) -> Result:
    person = page.visitor.person
    item = await view_item.item(
        page.parts.store, name, person=person.id, tenant=person.tenant
    )
    return Result(
        id=name,
        summary=summary_of(item.approval, item.release),
        amount=wording.money(item.approval.amount, item.approval.currency),
        problem=problem,
        row=item.approval,
    )
