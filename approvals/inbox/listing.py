"""The queue's page, which updates live while it is open."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, get_args
from urllib.parse import urlencode

from fastapi import Depends, Query
from fastapi.responses import HTMLResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field

from keyturn.approvals.inbox import queue
from keyturn.approvals.inbox.queue import Filter, Whose
from keyturn.approvals.web import flash, live, routing
from keyturn.approvals.web.page import Page, PageDep
from keyturn.approvals.web.page_links import turning
from keyturn.orchestrator.store.approvals.queue_filter import Place
from keyturn.orchestrator.store.views import fingerprints

router = routing.of_pages()

AFTER = "after"
# By the name in the address.
WHOSE: dict[str, Whose] = {one: one for one in get_args(Whose)}


class Asked(BaseModel):
    """The page's filters, as its address has them; an unknown value filters nothing."""

    tool: str = ""
    workflow: str = ""
    team: str = ""
    language: Annotated[str, Field(max_length=35)] = ""
    whose: str = ""
    mine: str = ""


def _filter(asked: Annotated[Asked, Query()]) -> Filter:
    return Filter(
        tool=asked.tool,
        workflow=asked.workflow,
        team=asked.team,
        language=asked.language,
        whose=WHOSE.get(asked.whose, ""),
        mine=asked.mine == "1",
    )


FilterDep = Annotated[Filter, Depends(_filter)]


@router.get("/inbox")
async def inbox(
    page: PageDep, wanted: FilterDep, done: str | None = None
) -> HTMLResponse:
    """Show pending items."""
    seen = await _fingerprint(page)
    return await page.show(
        "inbox/inbox.html",
        **await _queue(page, wanted),
        seen=seen,
        flash=await flash.of(page, done),
    )


@router.get("/inbox/queue")
async def rows(page: PageDep, wanted: FilterDep) -> HTMLResponse:
    """Return only the queue, for an htmx swap."""
    return await page.part("inbox/queue_part.html", **await _queue(page, wanted))


@router.get("/inbox/live", response_class=EventSourceResponse)
async def changed(page: PageDep, seen: str = "") -> AsyncIterator[ServerSentEvent]:
    """Send the page an event at each change of the queue."""
    following = page.parts.watcher.queue.follow(_part(page), page.visitor.credential)
    async for event in live.changes(following, seen):
        yield event


async def _fingerprint(page: Page) -> str:
    part = _part(page)
    return (await fingerprints.queue(page.parts.store, [part]))[part]


def _part(page: Page) -> str:
    tenant = page.visitor.person.tenant
    # A service with several tenants that names none sees no objects.
    return fingerprints.ALL if tenant is None else tenant


async def _queue(
    page: Page, wanted: Filter
) -> dict[str, Any]:  # a template takes anything
    asked = page.request.query_params
    place = Place.read(asked.get(AFTER, ""))
    found = await queue.load(page.parts.store, page.visitor.person, wanted, place)
    query = str(page.request.url.query)
    return {
        "queue": found,
        "pages": turning(asked, found.last, name=AFTER),
        "first": "/inbox" + _query(wanted),
        "is_first": place is None,
        "is_filtered": wanted != Filter(),
        "query": f"?{query}" if query else "",
    }


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
