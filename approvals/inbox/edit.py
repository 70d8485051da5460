"""Edits of an item: the page shows their changes before they are decided."""

from datetime import datetime
from typing import Annotated

from fastapi import Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from keyturn.approvals.auth import permissions
from keyturn.approvals.inbox import decide, items, preview
from keyturn.approvals.inbox.item import Editing
from keyturn.approvals.inbox.items import Result
from keyturn.approvals.inbox.preview import Preview
from keyturn.approvals.view.form.sent import sent_form
from keyturn.approvals.web import routing
from keyturn.approvals.web.page import Page, PageDep
from keyturn.orchestrator.rules.text import json_object
from keyturn.orchestrator.store.approvals import edit_drafts
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.approvals.decision import Answer

router = routing.of_pages()

BAD_FIELDS = "Some fields are not valid; each shows the reason."


@router.post("/inbox/{approval}/draft")
async def keep(page: PageDep, approval: str, request: Request) -> HTMLResponse:
    """Save an unfinished edit, and show what it would change."""
    permissions.check(page.visitor.person, "approvals.decide")
    found, _ = await preview.of_form(page, approval, await sent_form(request))
    at = await _keep(page, approval, request, found)
    return await page.part(
        "inbox/edit_preview.html",
        preview=found,
        kept=at,
        item=approval,
    )


async def _keep(
    page: Page, approval: str, request: Request, found: Preview
) -> datetime | None:
    """Save the edit; one without changes is discarded, and blocks no approval."""
    if await _drop_unchanged(page, approval, found):
        return None
    return await items.save_draft(page, approval, request)


async def _drop_unchanged(page: Page, approval: str, found: Preview) -> bool:
    if found.changes or found.problem:
        return False
    await edit_drafts.drop(page.parts.store, approval, person=page.visitor.person.id)
    return True


@router.post("/inbox/{approval}/discard")
async def discard(page: PageDep, approval: str) -> RedirectResponse:
    """Discard this person's edit: the item is as it was drafted."""
    person, store = page.visitor.person, page.parts.store
    permissions.check(person, "approvals.decide")
    async with store.read() as session:
        await approval_lookup.get(session, approval, tenant=person.tenant)
    await edit_drafts.drop(store, approval, person=person.id)
    return RedirectResponse(f"/inbox/{approval}", status_code=303)


class Edited(BaseModel):
    """What the edit form says besides the arguments, whose names the tool gives.

    `previewed` is the digest of the changes that its page has shown.
    """

    binding: Annotated[str, Field(max_length=200)]
    previewed: Annotated[str, Field(max_length=100)] = ""
    reason: Annotated[str, Field(max_length=2_000)] = ""


@router.post("/inbox/{approval}/edit")
async def edit(
    page: PageDep, approval: str, request: Request, sent: Annotated[Edited, Form()]
) -> Response:
    """Approve with edited arguments whose changes the page has shown.

    The edit is saved even if it is refused.
    """
    await items.save_draft(page, approval, request)
    form = await sent_form(request)
    ahead, found = await preview.of_form(page, approval, form)
    await _drop_unchanged(page, approval, ahead)
    editing = Editing(form=form, errors=found.errors, preview=ahead, is_open=True)
    if found.errors or ahead.problem:
        words = BAD_FIELDS if found.errors else ahead.problem
        return await _again(page, approval, editing, words)
    if not ahead.digest or sent.previewed != ahead.digest:
        return await items.show(page, approval, Result(editing=editing))
    answer = Answer(
        decision="approve",
        binding=sent.binding,
        arguments=json_object.of(found.value),
        reason=sent.reason or None,
    )
    try:
        return await decide.commit(page, approval, answer)
    except decide.REFUSALS as error:
        return await decide.refused(page, approval, error)
    except preview.NOT_USABLE as error:
        return await _again(page, approval, editing, str(error))


async def _again(
    page: Page, approval: str, editing: Editing, words: str
) -> HTMLResponse:
    result = Result(status=422, form_problem=words, editing=editing)
    return await items.show(page, approval, result)
