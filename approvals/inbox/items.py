"""One item's page, and its parts that update live."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import HTMLResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from keyturn.approvals.inbox import hands, preview, queue, reasons
from keyturn.approvals.inbox.item import Editing, Place, View, view
from keyturn.approvals.view import hold_words
from keyturn.approvals.view.form import read
from keyturn.approvals.view.form.sent import sent_form
from keyturn.approvals.web import flash as web_flash
from keyturn.approvals.web import live, routing
from keyturn.approvals.web.flash import Flash
from keyturn.approvals.web.page import Page, PageDep
from keyturn.orchestrator.store import holds
from keyturn.orchestrator.store.approvals import edit_drafts, read_receipts
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.views import fingerprints
from keyturn.orchestrator.store.views import item as view_item
from keyturn.orchestrator.store.views.item import Item

router = routing.of_pages()


@router.get("/inbox/{approval}")
async def item(
    page: PageDep, approval: str, done: str | None = None, edit: str = ""
) -> HTMLResponse:
    """Show one item with everything needed to decide it."""
    said = await web_flash.of(page, done)
    return await show(
        page, approval, Result(flash=said, editing=Editing(is_open=edit == "1"))
    )


@router.get("/inbox/{approval}/news")
async def news(page: PageDep, approval: str) -> HTMLResponse:
    """Return the item's current state, for an htmx swap."""
    return await page.part("inbox/news.html", view=await load(page, approval))


async def _visible(page: PageDep, approval: str) -> str:
    """Return the item's id, or raise `NotFound` before a stream begins."""
    async with page.parts.store.read() as session:
        await approval_lookup.get(session, approval, tenant=page.visitor.person.tenant)
    return approval


@router.get("/inbox/{approval}/live", response_class=EventSourceResponse)
async def changed(
    page: PageDep, approval: Annotated[str, Depends(_visible)], seen: str = ""
) -> AsyncIterator[ServerSentEvent]:
    """Send the page an event at each change of the item."""
    following = page.parts.watcher.approvals.follow(approval, page.visitor.credential)
    async for event in live.changes(following, seen):
        yield event


@router.post("/inbox/{approval}/opened", status_code=204)
async def opened(
    page: PageDep, approval: str, binding: Annotated[str, Form(max_length=200)]
) -> None:
    """Record that this page was opened, which batch decisions require."""
    await read_receipts.record(page.parts.store, page.visitor.person, approval, binding)


@dataclass(frozen=True)
class Result:
    """What came of one of the page's forms, which is shown on it."""

    status: int = 200
    flash: Flash | None = None
    conflict: Flash | None = None
    form_problem: str = ""
    editing: Editing | None = None


async def show(page: Page, approval: str, result: Result) -> HTMLResponse:
    """Return the item's page, with the error if there was one."""
    seen = await fingerprints.approval(page.parts.store, approval)
    return await page.show(
        "inbox/item.html",
        status=result.status,
        view=await load(page, approval, result.editing),
        seen=seen,
        flash=result.flash,
        conflict=result.conflict,
        form_problem=result.form_problem,
        reasons={"reject": reasons.REJECT, "change": reasons.CHANGE},
    )


async def load(page: Page, approval: str, editing: Editing | None = None) -> View:
    """Return the view of an item, or raise `NotFound`."""
    person, store = page.visitor.person, page.parts.store
    found = await view_item.item(
        store, approval, person=person.id, tenant=person.tenant
    )
    next_item = await queue.after(store, person, approval)
    editing = await _previewed(page, found, editing or Editing())
    async with store.read() as session:
        held = found.run.stopped_by or await holds.of_approval(session, found.approval)
        stop = (await hold_words.words(session, [held])).get(held or "", "")
        now = await session.read_clock()
        in_hands = await hands.of(session, found, person)
    # Off the event loop: it parses and compares untrusted text.
    return await asyncio.to_thread(
        view,
        found,
        person,
        Place(stop=stop, next_item=next_item, hands=in_hands, now=now),
        editing,
    )


async def _previewed(page: Page, item: Item, editing: Editing) -> Editing:
    """Return the edit with its changes, so that a saved draft shows them at once."""
    draft = item.draft
    if draft is None or editing.form is not None or item.approval.status != "pending":
        return editing
    kept = read.form_of(draft.form)
    found, _ = await preview.of_form(page, item.approval.id, kept)
    return replace(editing, preview=found)


async def save_draft(page: Page, approval: str, request: Request) -> datetime:
    """Save the fields of an edit form unchecked; return the time."""
    return await edit_drafts.save(
        page.parts.store,
        approval,
        person=page.visitor.person.id,
        tenant=page.visitor.person.tenant,
        form=await sent_form(request),
    )
