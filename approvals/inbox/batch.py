"""Deciding several like items at once: chosen, shown in full, confirmed, told."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, JsonValue
from sqlalchemy import ColumnElement
from sqlmodel import col

from keyturn.approvals.api.approval_body import summary_of
from keyturn.approvals.auth import permissions
from keyturn.approvals.inbox import queue, reasons
from keyturn.approvals.view import wording
from keyturn.approvals.view.facts import in_order, parsed
from keyturn.approvals.view.form import shape
from keyturn.approvals.web import routing
from keyturn.approvals.web.flash import Flash
from keyturn.approvals.web.page import Page, PageDep
from keyturn.approvals.web.page_links import cut, turning
from keyturn.orchestrator.rules.clock import system_clock
from keyturn.orchestrator.rules.errors import InvalidValue, KeyturnError, NotFound
from keyturn.orchestrator.rules.status import UNDOABLE
from keyturn.orchestrator.store.approvals import batch, queue_filter, read_receipts
from keyturn.orchestrator.store.approvals.batch import MOST, Bound
from keyturn.orchestrator.store.approvals.decision import Answer
from keyturn.orchestrator.store.approvals.errors import MayNotDecide
from keyturn.orchestrator.store.approvals.queue_filter import Place
from keyturn.orchestrator.store.db import form_results
from keyturn.orchestrator.store.effects import errors, undo
from keyturn.orchestrator.store.tables import ApprovalRow
from keyturn.orchestrator.store.views import inbox
from keyturn.orchestrator.store.views import item as view_item
from keyturn.orchestrator.store.views.inbox import Waiting

router = routing.of_pages()

# The reason that the record gives.
UNDONE = "undone with those decided at once"
CAME = "several decided at once"


@dataclass(frozen=True)
class Choice:
    """One item that may be decided with others; `is_opened` as it stands now."""

    approval: ApprovalRow
    summary: str
    amount: str
    preview: JsonValue
    arguments: JsonValue
    is_opened: bool


@dataclass(frozen=True)
class Group:
    """Items of one tool and rule, with their money by currency."""

    tool: str
    rule: str
    choices: list[Choice]
    totals: list[str]
    total: int = 0
    last: Place | None = None


@dataclass(frozen=True)
class Result:
    """What became of one item: nothing decided where there is a problem."""

    id: str
    summary: str
    amount: str
    problem: str
    row: ApprovalRow


class Came(BaseModel):
    """What one answer to several came to: each item's problem, empty where it has none."""

    decision: str
    outcomes: dict[str, str]


Items = Annotated[list[str], Query(max_length=200)]
Name = Annotated[str, Query(max_length=200)]
AFTER = "after"
# So many of each group beside others, and of one that is looked at alone.
A_LOOK, A_PAGE = 10, 50


@router.get("/inbox/several")
async def several(
    page: PageDep, tool: Name = "", rule: Annotated[str, Query(max_length=2_000)] = ""
) -> HTMLResponse:
    """Show which items may be decided at once; of one tool and rule, a page."""
    return await _choosing(page, tool=tool, rule=rule)


@router.get("/inbox/several/confirm")
async def confirm(page: PageDep, item: Items = []) -> HTMLResponse:  # noqa: B006 FastAPI copies it
    """Show each chosen item in full, with what they sum up to."""
    permissions.check(page.visitor.person, "approvals.decide")
    chosen = col(ApprovalRow.id).in_(set(item))
    groups = _grouped(await _choices(page, chosen, limit=len(item)))
    found = [one for group in groups for one in group.choices]
    problem = _problem(groups, found, asked=len(set(item)))
    if problem:
        return await _choosing(page, problem=problem, chosen=item, status=422)
    return await page.show(
        "inbox/several_confirm.html",
        group=groups[0],
        reasons=reasons.REJECT,
        problem=None,
    )


@router.post("/inbox/several/decide")
async def decide(  # noqa: PLR0913, PLR0917 the form's fields
    page: PageDep,
    item: Annotated[list[str], Form(max_length=200)],
    binding: Annotated[list[str], Form(max_length=200)],
    decision: Annotated[Literal["approve", "reject"], Form()],
    canned: Annotated[str | None, Form(max_length=3)] = None,
    reason: Annotated[str, Form(max_length=2_000)] = "",
) -> Response:
    """Give one answer to all of them; each has a result of its own."""
    person, parts = page.visitor.person, page.parts
    permissions.check(person, "approvals.decide")
    try:
        words = _words(decision, canned, reason)
        bound = _bound(item, binding)
        await read_receipts.check(parts.store, person, {b.id: b.binding for b in bound})
        answer = Answer(decision=decision, binding="", reason=words or None)
        came = await batch.decide(
            parts.store, parts.signer, person, bound, answer, heeds_drafts=True
        )
    except (InvalidValue, NotFound) as error:
        refused = Flash("Nothing was decided", wording.sentence(error))
        return await _choosing(page, problem=refused, chosen=item, status=422)
    outcomes = dict(zip([one.id for one in bound], came, strict=True))
    return await _done(page, decision, outcomes)


@router.post("/inbox/several/undo")
async def undo_several(
    page: PageDep, item: Annotated[list[str], Form(max_length=MOST)]
) -> Response:
    """Take back what was decided at once, each item by itself."""
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
    """Show what became of each, however often it is looked at."""
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
        totals=_totals(rows),
        undoable=[one.id for one in rows if _is_undoable(one, came.decision, now=now)],
    )


async def _done(
    page: Page, decision: str, outcomes: Mapping[str, ApprovalRow | KeyturnError]
) -> Response:
    """Keep what became of each, and go on to the page that shows it."""
    rows = [one for one in outcomes.values() if isinstance(one, ApprovalRow)]
    for run in {row.run for row in rows}:
        page.parts.deliver_soon(run)
    problems = {
        name: str(one) if isinstance(one, KeyturnError) else ""
        for name, one in outcomes.items()
    }
    result = await form_results.keep(
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


def _words(decision: str, canned: str | None, reason: str) -> str:
    if decision == "approve":
        return reason
    words = reasons.words(decision, canned, reason)
    if not words:
        raise InvalidValue(
            "reason: a rejection needs a reason; the model reads it and goes on from it"
        )
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


async def _choosing(  # noqa: PLR0913 what may have happened before
    page: Page,
    *,
    problem: Flash | None = None,
    chosen: Sequence[str] = (),
    status: int = 200,
    tool: str = "",
    rule: str = "",
) -> HTMLResponse:
    permissions.check(page.visitor.person, "approvals.decide")
    groups = await _groups(page, tool, rule)
    last = groups[0].last if tool and groups else None
    return await page.show(
        "inbox/several.html",
        status=status,
        groups=groups,
        is_one=bool(tool),
        pages=turning(page.request.query_params, last, name=AFTER),
        problem=problem,
        chosen=set(chosen),
        most=MOST,
    )


async def _fits(
    page: Page, *more: ColumnElement[bool]
) -> tuple[list[ColumnElement[bool]], datetime]:
    """Return what this person alone may decide now, as conditions, and when that is."""
    person = page.visitor.person
    async with page.parts.store.read() as session:
        now = await page.parts.store.now(session)
    wanted = queue_filter.Filter(tenant=person.tenant)
    fits = [
        *queue_filter.conditions(wanted, now=now),
        *queue_filter.may_approve(person, now=now),
        queue_filter.free_for(person, now=now),
        col(ApprovalRow.needed) == 1,
        col(ApprovalRow.binding).is_not(None),
        *more,
    ]
    return fits, now


async def _choices(
    page: Page, *more: ColumnElement[bool], limit: int, after: Place | None = None
) -> list[Choice]:
    """Return what fits of what this person alone may decide, in the queue's order."""
    person = page.visitor.person
    fits, now = await _fits(page, *more)
    async with page.parts.store.read() as session:
        waiting = [
            one
            for one in await inbox.queue(session, fits, limit=limit, after=after)
            if queue.mine(one, person, now=now)[0] == "yes"
        ]
        opened = await read_receipts.of(
            session, person, [one.approval.id for one in waiting]
        )
    return [_choice(one, opened) for one in waiting]


async def _groups(page: Page, tool: str, rule: str) -> list[Group]:
    """Return each tool and rule of which several wait, with the first of them.

    With a tool and rule named that one alone, a page of it.
    """
    fits, _ = await _fits(page)
    async with page.parts.store.read() as session:
        counted = await inbox.queue_groups(session, fits)
    found: list[Group] = []
    place = Place.read(page.request.query_params.get(AFTER, ""))
    for name, said, total in counted:
        if total < 2 or (tool and (name, said) != (tool, rule)):
            continue
        same = (col(ApprovalRow.tool) == name, col(ApprovalRow.rule) == said)
        size = A_PAGE if tool else A_LOOK
        rows = await _choices(
            page, *same, limit=size + 1, after=place if tool else None
        )
        kept, last = cut(rows, size)
        found.append(
            Group(
                name,
                said,
                kept,
                _totals([one.approval for one in kept]),
                total=total,
                last=Place.of(last.approval) if last else None,
            )
        )
    return found


def _choice(one: Waiting, opened: set[tuple[str, str]]) -> Choice:
    row = one.approval
    spec = one.release.tool(row.tool)
    return Choice(
        approval=row,
        summary=summary_of(row, one.release),
        amount=wording.money(row.amount, row.currency),
        preview=parsed(row.preview) if spec.has_preview else None,
        arguments=in_order(parsed(row.arguments), shape.of(spec.parameters)),
        is_opened=(row.id, row.binding or "") in opened,
    )


def _grouped(choices: Iterable[Choice]) -> list[Group]:
    found: dict[tuple[str, str], list[Choice]] = {}
    for one in choices:
        found.setdefault((one.approval.tool, one.approval.rule), []).append(one)
    return [
        Group(tool, rule, group, _totals([one.approval for one in group]))
        for (tool, rule), group in found.items()
    ]


def _problem(
    groups: Sequence[Group], found: Sequence[Choice], *, asked: int
) -> Flash | None:
    if not asked:
        return Flash("Nothing is chosen", "Tick the items that you want to decide.")
    if len(found) < asked:
        return Flash(
            "Some of these cannot be decided with others",
            f"{asked - len(found)} of {asked} were decided meanwhile, need several "
            "people, or are not yours to decide. Choose again from what is left.",
        )
    if len(groups) > 1:
        return Flash(
            "These are not alike",
            "Items decided at once have one tool and one rule. Choose from one group.",
        )
    if len(found) > MOST:
        return Flash(
            f"{len(found)} are too many",
            f"At most {MOST} are decided at once; choose fewer.",
        )
    closed = [one.approval.id for one in found if not one.is_opened]
    if closed:
        return Flash(
            "Open each first",
            f"Not opened since you signed in, or changed since: {', '.join(closed)}.",
        )
    return None


def _totals(rows: Iterable[ApprovalRow]) -> list[str]:
    sums = Counter[str]()
    for row in rows:
        if row.amount is not None and row.currency is not None:
            sums[row.currency] += row.amount
    return [wording.money(total, currency) for currency, total in sums.items()]


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
