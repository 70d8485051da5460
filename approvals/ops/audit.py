"""The audit log, and whether its chain still holds."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse

from approvals.auth.visitor import require
from approvals.page import PageDep
from orchestrator.store import audit, ledger_view, people
from orchestrator.store.approvals import Person

router = APIRouter()

Auditor = Annotated[Person, Depends(require("audit.read"))]
Verifier = Annotated[Person, Depends(require("audit.verify"))]
PAGE = 100


@router.get("/audit")
async def listing(
    page: PageDep,
    auditor: Auditor,
    run: str = "",
    kind: str = "",
    before: int | None = None,
) -> HTMLResponse:
    """Show the log, newest first."""
    async with page.parts.store.read() as session:
        rows = await ledger_view.audit_rows(
            session,
            tenant=auditor.tenant,
            run=run.strip() or None,
            kind=kind.strip() or None,
            before=before,
            limit=PAGE + 1,
        )
        names = await people.names(
            session, {one for row in rows for one in (row.actor, row.subject) if one}
        )
    return await page.show(
        "ops/audit.html",
        rows=rows[:PAGE],
        names=names,
        run=run,
        kind=kind,
        earlier=rows[PAGE - 1].id if len(rows) > PAGE else None,
    )


@router.post("/audit/verify")
async def verify(page: PageDep, auditor: Verifier) -> HTMLResponse:
    """Walk the whole chain and say what was found, for a swap."""
    del auditor
    found = await audit.verify(page.parts.store)
    return page.part("ops/verified.html", found=found)
