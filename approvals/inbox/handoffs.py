"""Hand-offs: runs that ended with people, and everything gathered."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Form
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import JsonValue

from keyturn.approvals.auth import permissions
from keyturn.approvals.inbox import conversation, handoff_words
from keyturn.approvals.view.facts import in_order, parsed
from keyturn.approvals.view.form import shape
from keyturn.approvals.web import live, routing
from keyturn.approvals.web.page import Page, PageDep
from keyturn.approvals.web.page_links import cut, turning
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.text import redaction
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import handoffs
from keyturn.orchestrator.store.runs import notes as run_notes
from keyturn.orchestrator.store.runs.handoffs import REOPENED
from keyturn.orchestrator.store.tables import NoteRow, RunRow
from keyturn.orchestrator.store.views import fingerprints, inbox, timeline

router = routing.of_pages()

AFTER = "after"
PAGE = 50

NoteKind = Literal["taken", "note", "done_outside"]


@dataclass(frozen=True)
class Handoff:
    """A handed-off run; `taken_by` is the person who took it over."""

    run: RunRow
    notes: list[NoteRow]
    taken_by: str | None
    reason: str
    detail: str


@router.get("/handoffs")
async def listing(page: PageDep, done: str = "") -> HTMLResponse:
    """Show open hand-offs; `done` is the run that was just settled."""
    return await page.show(
        "inbox/handoffs.html",
        settled=await _settled(page, done),
        **await _rows(page),
        seen=await _fingerprint(page),
    )


@router.get("/handoffs/rows")
async def rows(page: PageDep) -> HTMLResponse:
    """Return only the queue, for an htmx swap."""
    return await page.part("inbox/handoff_rows.html", **await _rows(page))


@router.get("/handoffs/live", response_class=EventSourceResponse)
async def changed(page: PageDep, seen: str = "") -> AsyncIterator[ServerSentEvent]:
    """Send the page an event at each change of the queue."""
    part, by = _part(page), page.visitor.credential
    following = page.parts.watcher.handoffs.follow(part, by)
    async for event in live.changes(following, seen):
        yield event


@router.get("/handoffs/{run}")
async def handoff(page: PageDep, run: str) -> HTMLResponse:
    """Show one hand-off with everything gathered."""
    tenant = page.visitor.person.tenant
    record = await timeline.load(page.parts.store, run, tenant=tenant)
    return await page.show(
        "inbox/handoff.html",
        one=_handoff(record.run, record.notes),
        input=await _input(page.parts.store, record.run),
        talk=conversation.entries(record.messages, record.calls, record.customer_wrote),
        effects=record.effects,
        run=record.run,
    )


@router.post("/handoffs/{run}/notes")
async def note(
    page: PageDep,
    run: str,
    kind: Annotated[NoteKind, Form()],
    text: Annotated[str, Form(max_length=4_000)] = "",
) -> RedirectResponse:
    """Take over, add a note, or record that it was done outside."""
    person, store = page.visitor.person, page.parts.store
    permissions.check(person, "handoffs.work")
    async with store.read() as session:
        await timeline.of_tenant(session, run, tenant=person.tenant)
    match kind:
        case "taken":
            await handoffs.take(store, run, person)
        case "done_outside":
            await handoffs.settle(store, run, person, text=text)
        case "note":
            await _add_note(store, run, person, text)
    target = f"/handoffs?done={run}" if kind == "done_outside" else f"/handoffs/{run}"
    return RedirectResponse(target, status_code=303)


async def _add_note(store: Store, run: str, person: Person, text: str) -> None:
    await run_notes.add_note(store, run, person=person, text=text)


async def _settled(page: Page, run: str) -> RunRow | None:
    """Return the run if this person has just recorded it as done outside."""
    if not run:
        return None
    person = page.visitor.person
    try:
        record = await timeline.load(page.parts.store, run, tenant=person.tenant)
    except NotFound:
        return None
    last = record.notes[-1] if record.notes else None
    is_theirs = last and last.kind == handoffs.DONE_OUTSIDE and last.person == person.id
    return record.run if is_theirs else None


async def _fingerprint(page: Page) -> str:
    part = _part(page)
    return (await fingerprints.handoffs(page.parts.store, [part]))[part]


def _part(page: Page) -> str:
    tenant = page.visitor.person.tenant
    # A service with several tenants that names none sees no objects.
    return fingerprints.ALL if tenant is None else tenant


async def _rows(page: Page) -> dict[str, Any]:  # a template takes anything
    asked, tenant = page.request.query_params, page.visitor.person.tenant
    after = asked.get(AFTER) or None
    async with page.parts.store.read() as session:
        found = await inbox.handoffs(
            session, tenant=tenant, limit=PAGE + 1, after=after
        )
        _, total, _ = await inbox.counts(session, tenant=tenant)
    kept, last = cut(found, PAGE)
    query = str(page.request.url.query)
    return {
        "rows": [_handoff(run, notes) for run, notes in kept],
        "total": total,
        "pages": turning(asked, last[0].id if last else None, name=AFTER),
        "is_first": after is None,
        "query": f"?{query}" if query else "",
    }


def _handoff(run: RunRow, notes: list[NoteRow]) -> Handoff:
    back = [number for number, one in enumerate(notes) if one.kind == REOPENED]
    since = notes[back[-1] :] if back else notes
    taken = [one.person_name for one in since if one.kind == handoffs.TAKEN]
    reason, detail = handoff_words.reason((run.handed_off or {}).get("reason"))
    return Handoff(
        run=run,
        notes=notes,
        taken_by=taken[-1] if taken else None,
        reason=reason,
        detail=detail,
    )


async def _input(store: Store, run: RunRow) -> JsonValue:
    async with store.read() as session:
        release = await releases.load(session, run.release)
    schema = release.input_schema
    kept = redaction.drop(parsed(run.input), schema, release.never_sees)
    return in_order(kept, shape.of(schema))
