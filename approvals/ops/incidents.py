"""Incidents, which people have to investigate."""

from typing import Annotated

from fastapi import Depends, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from keyturn.approvals.auth import permissions
from keyturn.approvals.auth.visitor import require
from keyturn.approvals.web import routing
from keyturn.approvals.web.page import Page, PageDep
from keyturn.approvals.web.page_links import cut, turning
from keyturn.orchestrator.rules import ids as rules_ids
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.status import Severity
from keyturn.orchestrator.rules.text import plain_text
from keyturn.orchestrator.store.incidents import incidents, statement
from keyturn.orchestrator.store.incidents.errors import IncidentClosed, MayNotClose
from keyturn.orchestrator.store.incidents.incidents import NewIncident
from keyturn.orchestrator.store.people import accounts

router = routing.of_pages()

Reader = Annotated[Person, Depends(require("incidents.read"))]
PAGE = 50
# The cursors of the two lists.
OPEN, CLOSED = "open", "closed"
MATCHINGS = 5


@router.get("/incidents")
async def listing(page: PageDep, reader: Reader) -> HTMLResponse:
    """Show incidents, the open ones first."""
    return await _list(page, reader)


@router.get("/incidents/{incident}")
async def show(page: PageDep, reader: Reader, incident: str) -> HTMLResponse:
    """Show one incident and, where it is open, the form to close it."""
    return await _show(page, reader, incident)


@router.post("/incidents/match")
async def match(page: PageDep, reader: Reader) -> Response:
    """Request a matching with the books."""
    permissions.check(reader, "matchings.start")
    await statement.ask(page.parts.store, by=reader.id)
    return RedirectResponse("/incidents", status_code=303)


@router.post("/incidents")
async def open_incident(
    page: PageDep,
    reader: Reader,
    severity: Annotated[Severity, Form()],
    title: Annotated[str, Form(max_length=200)] = "",
    detail: Annotated[str, Form(max_length=4_000)] = "",
) -> Response:
    """Open an incident."""
    permissions.check(reader, "incidents.manage")
    title, detail = (
        " ".join(plain_text.trimmed(title).split()),
        plain_text.trimmed(detail),
    )
    if not title or not detail:
        words = "Say in one line what happened, and below it what is known."
        return await _list(page, reader, problem=words, status=422)
    new = NewIncident(
        severity=severity,
        title=title,
        source=rules_ids.new_id(f"person:{reader.id}"),
        detail={"words": detail},
        tenant=reader.tenant,
    )
    row, _ = await incidents.open_once(page.parts.store, new, by=reader.id)
    return RedirectResponse(f"/incidents/{row.id}", status_code=303)


@router.post("/incidents/{incident}/close")
async def close(
    page: PageDep,
    reader: Reader,
    incident: str,
    reason: Annotated[str, Form(max_length=4_000)] = "",
) -> Response:
    """Close an incident with a reason."""
    permissions.check(reader, "incidents.manage")
    if not plain_text.trimmed(reason):
        words = "Say what was found and what was done."
        return await _show(page, reader, incident, problem=words, status=422)
    try:
        await incidents.close(
            page.parts.store,
            incident,
            by=reader.id,
            reason=plain_text.trimmed(reason),
            tenant=reader.tenant,
        )
    except IncidentClosed as error:
        return await _show(page, reader, incident, problem=str(error), status=409)
    except MayNotClose as error:
        return await _show(page, reader, incident, problem=str(error), status=403)
    return RedirectResponse(f"/incidents/{incident}", status_code=303)


async def _list(
    page: Page, reader: Person, *, problem: str = "", status: int = 200
) -> HTMLResponse:
    asked = page.request.query_params
    async with page.parts.store.read() as session:
        opened, more_open = cut(
            await incidents.listing(
                session,
                "open",
                tenant=reader.tenant,
                limit=PAGE + 1,
                before=asked.get(OPEN) or None,
            ),
            PAGE,
        )
        closed, more_closed = cut(
            await incidents.listing(
                session,
                "closed",
                tenant=reader.tenant,
                limit=PAGE + 1,
                before=asked.get(CLOSED) or None,
            ),
            PAGE,
        )
        # The books cover all tenants.
        matched = (
            await statement.listing(session, limit=MATCHINGS)
            if page.may("matchings.read")
            else None
        )
        names = await accounts.names(session, {one.asked_by for one in matched or ()})
    return await page.show(
        "ops/incidents.html",
        status=status,
        open=opened,
        closed=closed,
        open_pages=turning(asked, more_open.id if more_open else None, name=OPEN),
        closed_pages=turning(
            asked, more_closed.id if more_closed else None, name=CLOSED
        ),
        matched=matched,
        names=names,
        problem_words=problem,
    )


async def _show(
    page: Page, reader: Person, incident: str, *, problem: str = "", status: int = 200
) -> HTMLResponse:
    async with page.parts.store.read() as session:
        row = await incidents.get(session, incident, tenant=reader.tenant)
        ids = {one for one in (row.opened_by, row.closed_by, *row.named) if one}
        await session.read_clock()
        why_not = await incidents.why_not_close(session, row, reader.id)
        names = await accounts.names(session, ids)
    return await page.show(
        "ops/incident.html",
        status=status,
        one=row,
        why_not=why_not,
        names=names,
        problem_words=problem,
    )
