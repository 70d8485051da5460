"""The page of switches, bulk actions and budgets."""

from typing import Any

from fastapi.responses import HTMLResponse

from keyturn.approvals.auth import dual_control
from keyturn.approvals.web import tenancy
from keyturn.approvals.web.flash import Flash
from keyturn.approvals.web.page import Page
from keyturn.approvals.web.page_links import cut, turning
from keyturn.orchestrator.store.budgets import listing as budget_listing
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.dual_control import budget_raise, proposals
from keyturn.orchestrator.store.dual_control.budget_raise import Held
from keyturn.orchestrator.store.ledger import listing
from keyturn.orchestrator.store.people import accounts
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import bulk as run_bulk
from keyturn.orchestrator.store.switches import active as switch_active
from keyturn.orchestrator.store.switches import switches

LATEST_BULKS = 5
MOST_HELD = 50
# Rows in each list of the page.
PAGE = 20


async def latest_bulks(page: Page) -> dict[str, Any]:  # a template takes anything
    """Return the bulk actions for the template: those under way and the latest."""
    async with page.parts.store.read() as session:
        found = await run_bulk.at_hand(
            session, tenant=page.visitor.person.tenant, ended=LATEST_BULKS + 1
        )
        names = await accounts.names(session, {row.by for row in found})
    going_on = sum(row.ended_at is None for row in found)
    rows = found[: going_on + LATEST_BULKS]
    return {
        "bulks": [(row, run_bulk.state(row)) for row in rows],
        "has_earlier_bulks": len(rows) < len(found),
        "bulk_names": names,
        "is_any_running": any(row.ended_at is None for row in rows),
    }


async def show(
    page: Page,
    *,
    flash: Flash | None = None,
    problem: str = "",
    status: int = 200,
    budget: Held | None = None,
) -> HTMLResponse:
    """Show the page; `budget` is one with a new proposal to raise it."""
    person, store = page.visitor.person, page.parts.store
    async with store.read() as session:
        await session.read_clock()
        set_now = await switch_active.active(session)
        active = [one for one in set_now if tenancy.sees_switch(person, one.scope)]
        found = {
            "active": active,
            **await _held(session, budget, sees=person.tenant),
            "sending": await listing.sending(session, tenant=person.tenant),
            "live": await releases.all_live(session),
            **await _paged(page, session),
        }
    return await page.show(
        "ops/ops.html",
        status=status,
        flash=flash,
        problem_words=problem,
        **found,
        **await latest_bulks(page),
    )


async def _paged(
    page: Page, session: Tx
) -> dict[str, Any]:  # a template takes anything
    """Return the unbounded lists of the page, one page of each."""
    asked, tenant = page.request.query_params, page.visitor.person.tenant
    past = await switches.history(
        session, tenant=tenant, limit=PAGE + 1, before=asked.get("ended") or None
    )
    meters = await budget_listing.meters(
        session, tenant=tenant, limit=PAGE + 1, before=asked.get("budget") or None
    )
    waiting = await proposals.listing(
        session,
        proposals.Filter(tenant, is_open=True, kinds=_kinds(page)),
        limit=PAGE + 1,
        before=asked.get("asked") or None,
    )
    (past, last), (meters, least) = cut(past, PAGE), cut(meters, PAGE)
    waiting, oldest = cut(waiting, PAGE)
    return {
        "past": past,
        "pages_of_past": turning(asked, last.id if last else None, name="ended"),
        "meters": meters,
        "pages_of_meters": turning(
            asked, least.scope if least else None, name="budget"
        ),
        "proposals": waiting,
        "pages_of_proposals": turning(
            asked, oldest.id if oldest else None, name="asked"
        ),
    }


def _kinds(page: Page) -> list[str]:
    """Return the kinds of proposals that the viewer may answer or see."""
    if not page.may("proposals.read"):
        return []
    return [
        kind
        for kind, action in dual_control.NEEDS.items()
        if page.may(action) or page.may("audit.read")
    ]


async def _held(
    session: Tx, asked: Held | None, *, sees: str | None
) -> dict[str, Any]:  # a template takes anything
    found = await budget_raise.of_days(session, sees=sees, limit=MOST_HELD + 1)
    shown = found[:MOST_HELD]
    is_new = asked is not None and asked.scope not in {one.scope for one in shown}
    return {
        "held_budgets": [asked, *shown] if is_new and asked else shown,
        "are_more_held": len(found) > len(shown),
    }
