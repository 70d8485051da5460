"""Claims on a page: taken, renewed while it is open, given up, reassigned."""

from contextlib import suppress
from datetime import timedelta
from typing import Annotated

from fastapi import Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from keyturn.approvals.auth import permissions
from keyturn.approvals.inbox import items
from keyturn.approvals.web import problems, routing
from keyturn.approvals.web.flash import Flash
from keyturn.approvals.web.page import Page, PageDep
from keyturn.orchestrator.rules.errors import InvalidValue, KeyturnError
from keyturn.orchestrator.rules.text import plain_text
from keyturn.orchestrator.store.approvals import claims, extension, reassignment
from keyturn.orchestrator.store.approvals.errors import (
    AlreadyDecided,
    Claimed,
    MayNotAssign,
    MayNotDecide,
    NobodyElse,
    NoMoreTime,
)
from keyturn.orchestrator.store.approvals.extension import FURTHEST

router = routing.of_pages()

REFUSALS = (
    AlreadyDecided,
    Claimed,
    InvalidValue,
    MayNotAssign,
    MayNotDecide,
    NobodyElse,
    NoMoreTime,
)
MOST_MINUTES = FURTHEST // timedelta(minutes=1)

Reason = Annotated[str, Form(max_length=500)]


@router.get("/inbox/{approval}/claim")
async def claimed(page: PageDep, approval: str) -> HTMLResponse:
    """Return the part that shows who has the item, for an htmx swap."""
    return await page.part("inbox/claim.html", view=await items.load(page, approval))


@router.post("/inbox/{approval}/claim")
async def claim(
    page: PageDep,
    approval: str,
    take_over: Annotated[str, Form(max_length=100)] = "",
    reason: Reason = "",
) -> Response:
    """Claim the item, or take it over from the holder that the page named."""
    permissions.check(page.visitor.person, "approvals.decide")
    try:
        await claims.claim(
            page.parts.store,
            page.visitor.person,
            approval,
            take_over=take_over or None,
            reason=reason or None,
        )
    except REFUSALS as error:
        return await _refused(page, approval, error, "You have not claimed this item")
    return _back(approval)


@router.post("/inbox/{approval}/keep")
async def keep(page: PageDep, approval: str) -> HTMLResponse:
    """Renew a claim while its page is open; an expired claim is not taken again."""
    person, store = page.visitor.person, page.parts.store
    view = await items.load(page, approval)
    if view.hands.state == "mine":
        # Lost between reading and claiming: then the part says who has it.
        with suppress(*REFUSALS):
            await claims.claim(store, person, approval)
        view = await items.load(page, approval)
    return await page.part("inbox/claim.html", view=view)


@router.post("/inbox/{approval}/unclaim")
async def unclaim(page: PageDep, approval: str) -> Response:
    """Give up the claim."""
    try:
        await claims.unclaim(page.parts.store, page.visitor.person, approval)
    except REFUSALS as error:
        return await _refused(page, approval, error, "You cannot unclaim this item")
    return _back(approval)


@router.post("/inbox/{approval}/assign")
async def assign(
    page: PageDep,
    approval: str,
    to: Annotated[str, Form(max_length=100)] = "",
    reason: Reason = "",
) -> Response:
    """Assign the item to a person, or return it to its queue."""
    person = page.visitor.person
    permissions.check(person, "approvals.assign")
    try:
        _check_reason(reason)
        await reassignment.reassign(
            page.parts.store, person, approval, to=to or None, reason=reason
        )
    except REFUSALS as error:
        return await _refused(page, approval, error, "The item was not reassigned")
    return _back(approval)


@router.post("/inbox/{approval}/extend")
async def extend(
    page: PageDep,
    approval: str,
    minutes: Annotated[int, Form(ge=1, le=MOST_MINUTES)],
    reason: Reason = "",
) -> Response:
    """Extend the time to answer."""
    person = page.visitor.person
    permissions.check(person, "approvals.extend")
    try:
        _check_reason(reason)
        by = timedelta(minutes=minutes)
        await extension.extend_by(
            page.parts.store, person, approval, by=by, reason=reason
        )
    except REFUSALS as error:
        return await _refused(page, approval, error, "The deadline was not extended")
    return _back(approval)


def _check_reason(reason: str) -> None:
    if not plain_text.trimmed(reason):
        raise InvalidValue("reason: say why; it is kept in the audit log")


def _back(approval: str) -> RedirectResponse:
    return RedirectResponse(f"/inbox/{approval}", status_code=303)


async def _refused(
    page: Page, approval: str, error: KeyturnError, title: str
) -> HTMLResponse:
    status = problems.of_error(error, instance="").problem.status
    conflict = Flash(title, str(error))
    return await items.show(
        page, approval, items.Result(status=status, conflict=conflict)
    )
