"""The queue's page, kept current while it is open."""

from collections.abc import AsyncIterator
from typing import Annotated, cast, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from approvals import live
from approvals.inbox import flash, queue
from approvals.inbox.queue import Filter, Whose
from approvals.page import Page, PageDep
from orchestrator.store import watch

router = APIRouter()


def _filter(  # noqa: PLR0913, PLR0917 the page's filters
    tool: str = "",
    workflow: str = "",
    team: str = "",
    language: Annotated[str, Query(max_length=35)] = "",
    whose: str = "",
    mine: str = "",
) -> Filter:
    return Filter(
        tool=tool,
        workflow=workflow,
        team=team,
        language=language,
        whose=cast("Whose", whose) if whose in get_args(Whose) else "",
        mine=mine == "1",
    )


FilterDep = Annotated[Filter, Depends(_filter)]


@router.get("/inbox")
async def inbox(
    page: PageDep, wanted: FilterDep, done: str | None = None
) -> HTMLResponse:
    """Show what waits for people."""
    seen = await _fingerprint(page)
    return await page.show(
        "inbox/inbox.html",
        queue=await queue.load(page.parts.store, page.visitor.person, wanted),
        query=_query(wanted),
        seen=seen,
        flash=await flash.of(page, done),
    )


@router.get("/inbox/queue")
async def rows(page: PageDep, wanted: FilterDep) -> HTMLResponse:
    """Return the queue alone, for a swap."""
    return page.part(
        "inbox/queue_part.html",
        queue=await queue.load(page.parts.store, page.visitor.person, wanted),
        query=_query(wanted),
    )


@router.get("/inbox/live", response_class=EventSourceResponse)
async def changed(page: PageDep, seen: str = "") -> AsyncIterator[ServerSentEvent]:
    """Tell the page each time that the queue has changed."""
    async for event in live.changes(
        lambda: _fingerprint(page), seen, is_let_in=page.is_let_in
    ):
        yield event


async def _fingerprint(page: Page) -> str:
    return await watch.queue(page.parts.store, tenant=page.visitor.person.tenant)


def _query(wanted: Filter) -> str:
    pairs = {
        "tool": wanted.tool,
        "workflow": wanted.workflow,
        "team": wanted.team,
        "language": wanted.language,
        "whose": wanted.whose,
        "mine": "1" if wanted.mine else "",
    }
    set_ = {name: value for name, value in pairs.items() if value}
    return f"?{urlencode(set_)}" if set_ else ""
