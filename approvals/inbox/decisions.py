"""A person's own decisions and what came of them."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from approvals.api.approval_body import summary_of
from approvals.facts import Side, in_order, parsed, sides
from approvals.form import shape
from approvals.page import PageDep
from orchestrator.store import desk
from orchestrator.store.desk import Decided

router = APIRouter()


@router.get("/decisions")
async def decisions(page: PageDep) -> HTMLResponse:
    """Show what this person decided, and what became of it."""
    async with page.parts.store.read() as session:
        found = await desk.decided_by(session, page.visitor.person.id)
    rows = [(one, summary_of(one.approval, one.release), _sides(one)) for one in found]
    return await page.show("inbox/decisions.html", rows=rows)


def _sides(one: Decided) -> list[Side]:
    """Return what was proposed, decided and done, where a person edited it."""
    if one.decision.arguments is None:
        return []
    done = one.effect.arguments if one.effect else one.approval.effective
    wanted = shape.of(one.release.tool(one.approval.tool).parameters)
    texts = (one.call.arguments, one.decision.arguments, done or one.approval.arguments)
    proposed, decided, effective = (in_order(parsed(text), wanted) for text in texts)
    return sides(proposed, decided, effective)
