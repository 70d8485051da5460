"""A person's own decisions and what came of them."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from approvals.api.approval_body import summary_of
from approvals.page import PageDep
from orchestrator.store import desk

router = APIRouter()


@router.get("/decisions")
async def decisions(page: PageDep) -> HTMLResponse:
    """Show what this person decided, and what became of it."""
    async with page.parts.store.read() as session:
        found = await desk.decided_by(session, page.visitor.person.id)
    rows = [(one, summary_of(one.approval, one.release)) for one in found]
    return await page.show("inbox/decisions.html", rows=rows)
