"""The audit log, and the verification of its chain."""

from typing import Annotated

from fastapi import Depends, Header, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel

from keyturn.approvals.auth.visitor import require
from keyturn.approvals.web import routing
from keyturn.approvals.web.page import Page, PageDep
from keyturn.approvals.web.page_links import turning
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.store.audit import listing as audit_listing
from keyturn.orchestrator.store.audit.listing import AuditFilter
from keyturn.orchestrator.store.db import form_results
from keyturn.orchestrator.store.integrity.verification import Finding
from keyturn.orchestrator.store.people import accounts

router = routing.of_pages()

Auditor = Annotated[Person, Depends(require("audit.read"))]
Verifier = Annotated[Person, Depends(require("audit.verify"))]
PAGE = 100
# How many findings the page shows.
SHOWN = 20
VERIFIED = "a chain that was verified"


class Asked(BaseModel):
    """The part of the log that the page shows, and a verification's result."""

    run: str = ""
    kind: str = ""
    before: int | None = None
    verified: str = ""


@router.get("/audit")
async def listing(
    page: PageDep, auditor: Auditor, asked: Annotated[Asked, Query()]
) -> HTMLResponse:
    """Show the log, newest first."""
    async with page.parts.store.read() as session:
        wanted = AuditFilter(
            tenant=auditor.tenant,
            run=asked.run.strip() or None,
            kind=asked.kind.strip() or None,
        )
        rows = await audit_listing.audit_rows(
            session, wanted, before=asked.before, limit=PAGE + 1
        )
        total = await audit_listing.audit_total(session, wanted)
        names = await accounts.names(
            session, {one for row in rows for one in (row.actor, row.subject) if one}
        )
    return await page.show(
        "ops/audit.html",
        rows=rows[:PAGE],
        total=total,
        names=names,
        found=await _verified(page, asked.verified) if asked.verified else None,
        run=asked.run,
        kind=asked.kind,
        pages=turning(
            page.request.query_params,
            rows[PAGE - 1].id if len(rows) > PAGE else None,
            name="before",
        ),
    )


@router.post("/audit/verify")
async def verify(
    page: PageDep,
    auditor: Verifier,
    hx_request: Annotated[str, Header()] = "",
) -> Response:
    """Verify the log's chain and the tables; for an htmx swap or as a page."""
    found = await page.parts.verification.result(page.parts.store)
    if hx_request == "true":
        return await page.part("ops/verified.html", found=_shown(found))
    result = await form_results.save(
        page.parts.store,
        person=auditor.id,
        kind=VERIFIED,
        result=_shown(found).model_dump(mode="json"),
    )
    return RedirectResponse(f"/audit?verified={result}", status_code=303)


def _shown(found: Finding) -> Finding:
    """Return the findings that fit a page; the command and the API list more."""
    return found.model_copy(update={"discrepancies": found.discrepancies[:SHOWN]})


async def _verified(page: Page, result: str) -> Finding:
    person, store = page.visitor.person.id, page.parts.store
    found = await form_results.find(store, person=person, kind=VERIFIED, result=result)
    return Finding.model_validate(found)
