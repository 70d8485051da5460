"""A person's own decisions and their outcomes."""

from typing import Annotated

from fastapi import Query
from fastapi.responses import HTMLResponse

from keyturn.approvals.api.approval_body import summary_of
from keyturn.approvals.view.facts import Side, in_order, parsed, sides
from keyturn.approvals.view.form import shape
from keyturn.approvals.web import routing
from keyturn.approvals.web.page import PageDep
from keyturn.approvals.web.page_links import cut, turning
from keyturn.orchestrator.store.views import inbox
from keyturn.orchestrator.store.views.inbox import Decided

router = routing.of_pages()

PAGE = 50


@router.get("/decisions")
async def decisions(
    page: PageDep, before: Annotated[int | None, Query(ge=1, lt=10**18)] = None
) -> HTMLResponse:
    """Show this person's decisions, newest first, with their outcomes."""
    async with page.parts.store.read() as session:
        found = await inbox.decided_by(
            session, page.visitor.person.id, limit=PAGE + 1, before=before
        )
        total = await inbox.decided_total(session, page.visitor.person.id)
    kept, last = cut(found, PAGE)
    rows = [(one, summary_of(one.approval, one.release), _sides(one)) for one in kept]
    following = last.decision.id if last else None
    pages = turning(page.request.query_params, following, name="before")
    return await page.show("inbox/decisions.html", rows=rows, pages=pages, total=total)


def _sides(one: Decided) -> list[Side]:
    """Return proposed, decided and effective arguments if a person edited them."""
    if one.decision.arguments is None:
        return []
    done = one.effect.arguments if one.effect else one.approval.effective
    wanted = shape.of(one.release.tool(one.approval.tool).parameters)
    texts = (one.call.arguments, one.decision.arguments, done or one.approval.arguments)
    proposed, decided, effective = (in_order(parsed(text), wanted) for text in texts)
    return sides(proposed, decided, effective)
