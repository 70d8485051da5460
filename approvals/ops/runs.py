"""Runs: the list, one run's timeline, and its controls."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, Literal, get_args

from fastapi import Depends, Form
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from keyturn.approvals.auth import permissions
from keyturn.approvals.ops import timeline as drawing
from keyturn.approvals.view import hold_words
from keyturn.approvals.view.facts import in_order, parsed
from keyturn.approvals.view.form import shape
from keyturn.approvals.web import live, routing, tenancy
from keyturn.approvals.web.page import Page, PageDep
from keyturn.approvals.web.page_links import turning
from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.status import RunStatus
from keyturn.orchestrator.rules.text import redaction
from keyturn.orchestrator.store import holds
from keyturn.orchestrator.store.budgets import settlement
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.dual_control import budget_raise
from keyturn.orchestrator.store.dual_control.budget_raise import Held
from keyturn.orchestrator.store.people import accounts
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import control as run_control
from keyturn.orchestrator.store.runs import faults, notes
from keyturn.orchestrator.store.runs import listing as run_listing
from keyturn.orchestrator.store.runs.listing import Filter
from keyturn.orchestrator.store.tables import RunRow
from keyturn.orchestrator.store.views import fingerprints, timeline

router = routing.of_pages()

PAGE = 50
Control = Literal["pause", "resume", "cancel"]
CONTROLS: dict[Control, Callable[..., Awaitable[RunRow]]] = {
    "pause": run_control.pause,
    "resume": run_control.resume,
    "cancel": run_control.cancel,
}


def _wanted(
    page: PageDep, status: str = "", workflow: str = "", customer: str = ""
) -> Filter:
    known: tuple[RunStatus, ...] = get_args(RunStatus)
    return Filter(
        status=next((one for one in known if one == status), None),
        workflow=workflow or None,
        customer=customer or None,
        tenant=tenancy.of_list(page.visitor.person, None),
    )


@router.get("/runs")
async def listing(
    page: PageDep,
    wanted: Annotated[Filter, Depends(_wanted)],
    before: str | None = None,
) -> HTMLResponse:
    """Show runs, newest first."""
    async with page.parts.store.read() as session:
        found = await run_listing.listing(
            session, wanted, limit=PAGE + 1, before=before
        )
        shown = found[:PAGE]
        total = await run_listing.total(session, wanted)
        pending = await run_listing.pending_approvals(
            session, [run.id for run in shown]
        )
        calls = await holds.of_runs(session, [run.id for run in shown])
        by = [one.held_by for found in calls.values() for one in found]
        held = await hold_words.words(
            session, [*(run.stopped_by for run in shown), *by]
        )
        workflows = [name for name, _ in await releases.all_live(session)]
    return await page.show(
        "ops/runs.html",
        rows=[(run, pending.get(run.id, []), calls.get(run.id, [])) for run in shown],
        held=held,
        total=total,
        wanted=wanted,
        workflows=workflows,
        statuses=get_args(RunStatus),
        pages=turning(
            page.request.query_params,
            shown[-1].id if len(found) > PAGE else None,
            name="before",
        ),
    )


@router.get("/runs/{run}")
async def show(page: PageDep, run: str, before: int | None = None) -> HTMLResponse:
    """Show one run's timeline."""
    seen = await fingerprints.run(page.parts.store, run)
    return await page.show("ops/run.html", seen=seen, **await _run(page, run, before))


@router.get("/runs/{run}/timeline")
async def part(page: PageDep, run: str, before: int | None = None) -> HTMLResponse:
    """Return only the timeline, for an htmx swap."""
    return await page.part("ops/run_timeline.html", **await _run(page, run, before))


async def _visible(page: PageDep, run: str) -> str:
    """Return the run's id, or raise `NotFound` before a stream begins."""
    async with page.parts.store.read() as session:
        await timeline.of_tenant(session, run, tenant=page.visitor.person.tenant)
    return run


@router.get("/runs/{run}/live", response_class=EventSourceResponse)
async def changed(
    page: PageDep, run: Annotated[str, Depends(_visible)], seen: str = ""
) -> AsyncIterator[ServerSentEvent]:
    """Send the page an event at each change of the run."""
    following = page.parts.watcher.runs.follow(run, page.visitor.credential)
    async for event in live.changes(following, seen):
        yield event


@router.post("/runs/{run}/hold")
async def hold(
    page: PageDep,
    run: str,
    control: Annotated[Control, Form()],
    reason: Annotated[str, Form(min_length=1, max_length=500)],
) -> RedirectResponse:
    """Pause, resume or cancel a run."""
    person, store = page.visitor.person, page.parts.store
    permissions.check(person, "runs.hold")
    async with store.read() as session:
        await timeline.of_tenant(session, run, tenant=person.tenant)
    await CONTROLS[control](store, run, by=person.id, reason=reason)
    page.parts.deliver_soon(run)
    return RedirectResponse(f"/runs/{run}", status_code=303)


@router.post("/runs/{run}/notes")
async def note(
    page: PageDep, run: str, text: Annotated[str, Form(min_length=1, max_length=4_000)]
) -> RedirectResponse:
    """Add a note to a run."""
    person, store = page.visitor.person, page.parts.store
    permissions.check(person, "notes.write")
    async with store.read() as session:
        await timeline.of_tenant(session, run, tenant=person.tenant)
    await notes.add_note(store, run, person=person, text=text)
    return RedirectResponse(f"/runs/{run}", status_code=303)


async def _run(
    page: Page, run: str, before: int | None
) -> dict[str, Any]:  # a template takes anything
    record = await timeline.load(
        page.parts.store, run, tenant=page.visitor.person.tenant, before=before
    )
    async with page.parts.store.read() as session:
        calls = (await holds.of_runs(session, [run])).get(run, [])
        by = [record.run.stopped_by, *(one.held_by for one in calls)]
        held = await hold_words.words(session, by)
        names = await accounts.names(session, {record.run.started_by or ""})
        budgets = await _held_budgets(page, session, run)
    ui = page.parts.settings.temporal_ui
    namespace = page.parts.settings.temporal_namespace
    return {
        "run": record.run,
        "failing": faults.of(record.run),
        "lost_tries": settlement.LOST_TRIES,
        "held": held,
        "held_calls": calls,
        "held_budgets": budgets,
        "names": names,
        "input": await _input(page.parts.store, record.run),
        "turns": await asyncio.to_thread(drawing.turns, record),
        "record": record,
        "before": before,
        "temporal": f"{ui.rstrip('/')}/namespaces/{namespace}/workflows/{run}"
        if ui
        else None,
    }


async def _held_budgets(page: Page, session: Tx, run: str) -> list[Held]:
    """Return the budgets that hold a run; workflow days only without a tenant."""
    await session.read_clock()
    sees = page.visitor.person.tenant
    found = await budget_raise.of_run(session, run)
    return [one for one in found if sees in (None, one.tenant)]


async def _input(store: Store, run: RunRow) -> object:
    async with store.read() as session:
        release = await releases.load(session, run.release)
    return await asyncio.to_thread(_may_be_seen, run.input, release)


def _may_be_seen(text: str, release: Release) -> object:
    schema = release.input_schema
    kept = redaction.drop(parsed(text), schema, release.never_sees)
    return in_order(kept, shape.of(schema))
