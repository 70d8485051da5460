"""Editing an item: what the edit changes is shown before it is decided."""

from typing import Annotated, cast

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import JsonValue

from approvals.auth import permissions
from approvals.form.sent import sent_form
from approvals.inbox import deciding, items, preview
from approvals.inbox.item import Editing
from approvals.page import Page, PageDep
from approvals.submission import PageRoute
from orchestrator.store.approvals import Answer

router = APIRouter(route_class=PageRoute)

BAD_FIELDS = "Some fields cannot be used as they are; each says why."


@router.post("/inbox/{approval}/draft")
async def keep(page: PageDep, approval: str, request: Request) -> HTMLResponse:
    """Keep an unfinished edit, and show what it would change."""
    permissions.check(page.visitor.person, "approvals.decide")
    at = await items.save_draft(page, approval, request)
    found, _ = await preview.of_form(page, approval, await sent_form(request))
    return page.part(
        "inbox/edit_preview.html",
        preview=found,
        kept=at,
    )


@router.post("/inbox/{approval}/edit")
async def edit(  # noqa: PLR0913, PLR0917 the form's fields
    page: PageDep,
    approval: str,
    request: Request,
    binding: Annotated[str, Form(max_length=200)],
    previewed: Annotated[str, Form(max_length=100)] = "",
    reason: Annotated[str, Form(max_length=2_000)] = "",
) -> Response:
    """Approve with other arguments, where the page showed what that changes.

    What was written is kept whatever happens.
    """
    await items.save_draft(page, approval, request)
    form = await sent_form(request)
    ahead, found = await preview.of_form(page, approval, form)
    editing = Editing(form=form, errors=found.errors, preview=ahead, is_open=True)
    if found.errors or ahead.problem:
        words = BAD_FIELDS if found.errors else ahead.problem
        return await _again(page, approval, editing, words)
    if not ahead.digest or previewed != ahead.digest:
        return await items.show(page, approval, editing=editing)
    answer = Answer(
        decision="approve",
        binding=binding,
        arguments=cast("dict[str, JsonValue]", found.value),
        reason=reason or None,
    )
    try:
        return await deciding.commit(page, approval, answer)
    except deciding.REFUSALS as error:
        return await deciding.refused(page, approval, error)
    except preview.NOT_USABLE as error:
        return await _again(page, approval, editing, str(error))


async def _again(
    page: Page, approval: str, editing: Editing, words: str
) -> HTMLResponse:
    return await items.show(
        page, approval, status=422, form_problem=words, editing=editing
    )
