"""The effect ledger: sent effects, and unknown ones for people to settle."""

from typing import Annotated, Literal

from fastapi import Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from keyturn.approvals.auth import permissions
from keyturn.approvals.view.facts import parsed
from keyturn.approvals.web import routing
from keyturn.approvals.web.page import Page, PageDep
from keyturn.approvals.web.page_links import cut, turning
from keyturn.orchestrator.rules.status import ENDED_RUNS
from keyturn.orchestrator.rules.text import plain_text
from keyturn.orchestrator.store.effects import (
    compensation,
    late_failure,
    reconcile,
    resolution,
)
from keyturn.orchestrator.store.effects.errors import (
    NeedsAnother,
    NoCompensation,
    NoLookUp,
    NotDone,
    NotSettled,
    NotUnknown,
)
from keyturn.orchestrator.store.effects.late_failure import Later
from keyturn.orchestrator.store.effects.resolution import Resolution
from keyturn.orchestrator.store.ledger import listing as ledger_listing
from keyturn.orchestrator.store.ledger.listing import Place
from keyturn.orchestrator.store.people import accounts
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.tables import EffectRow
from keyturn.orchestrator.store.views import inbox

router = routing.of_pages()

PAGE = 50
# A cursor within the unknown effects, which come first.
UNKNOWN = "unknown."


@router.get("/effects")
async def listing(
    page: PageDep,
    before: Annotated[str, Query(max_length=300)] = "",
) -> HTMLResponse:
    """Show the ledger, unknown effects first."""
    is_unknown = before.startswith(UNKNOWN)
    key = before.removeprefix(UNKNOWN)
    place = Place(key=key, to_find_out=is_unknown) if key else None
    tenant = page.visitor.person.tenant
    async with page.parts.store.read() as session:
        found = await ledger_listing.effects_page(
            session, tenant=tenant, limit=PAGE + 1, after=place
        )
        _, _, unknown = await inbox.counts(session, tenant=tenant)
    rows, last = cut(found, PAGE)
    return await page.show(
        "ops/effects.html",
        rows=rows,
        unknown=unknown,
        pages=turning(page.request.query_params, _cursor(last), name="before"),
    )


def _cursor(last: EffectRow | None) -> str | None:
    if last is None:
        return None
    place = Place.of(last)
    return f"{UNKNOWN}{place.key}" if place.to_find_out else place.key


@router.get("/effects/{key}")
async def show(
    page: PageDep,
    key: str,
    done: Literal["", "asked", "recorded"] = "",
) -> HTMLResponse:
    """Show one effect; if it is unknown, with the form to record its outcome."""
    return await _show(page, key, done=done)


@router.post("/effects/{key}/record")
async def record(
    page: PageDep,
    key: str,
    happened: Annotated[Literal["yes", "no"], Form()],
    evidence: Annotated[str, Form(max_length=4_000)] = "",
) -> Response:
    """Record the outcome of an unknown effect."""
    person, store = page.visitor.person, page.parts.store
    permissions.check(person, "effects.record")
    async with store.read() as session:
        await ledger_listing.get(session, key, tenant=person.tenant)
    if not plain_text.trimmed(evidence):
        words = "Say how you know: a reference number, a log line, whom you asked."
        return await _show(page, key, problem=words, status=422)
    found = Resolution(
        happened=happened == "yes",
        evidence=plain_text.trimmed(evidence),
        person=person.id,
        person_name=person.name,
    )
    try:
        row = await resolution.resolve(store, key, found)
    except NeedsAnother as error:
        return await _show(page, key, problem=str(error), status=403)
    except (NotUnknown, NotSettled) as error:
        return await _show(page, key, problem=str(error), status=409)
    page.parts.deliver_soon(row.run)
    return RedirectResponse(f"/effects/{key}?done=recorded", status_code=303)


@router.post("/effects/{key}/lookup")
async def look_up(page: PageDep, key: str) -> Response:
    """Ask the effect worker to look up an unknown effect with its tool."""
    person, store = page.visitor.person, page.parts.store
    permissions.check(person, "effects.record")
    async with store.read() as session:
        await ledger_listing.get(session, key, tenant=person.tenant)
    try:
        row = await reconcile.ask(store, key, by=person.id)
    except (NotUnknown, NoLookUp) as error:
        return await _show(page, key, problem=str(error), status=409)
    page.parts.deliver_soon(row.run)
    return RedirectResponse(f"/effects/{key}?done=asked", status_code=303)


@router.post("/effects/{key}/reopen")
async def reopen(
    page: PageDep,
    key: str,
    how: Annotated[Literal["failed", "reversed"], Form()],
    words: Annotated[str, Form(max_length=4_000)] = "",
) -> Response:
    """Report that a done effect failed later at the provider."""
    person, store = page.visitor.person, page.parts.store
    permissions.check(person, "effects.report")
    async with store.read() as session:
        await ledger_listing.get(session, key, tenant=person.tenant)
    if not plain_text.trimmed(words):
        problem = (
            "Say how you know: the bank's letter, a reference number, whom you asked."
        )
        return await _show(page, key, problem=problem, status=422)
    later = Later(
        how=how, words=plain_text.trimmed(words), by=person.id, by_name=person.name
    )
    try:
        await late_failure.reopen(store, key, later)
    except NotDone as error:
        return await _show(page, key, problem=str(error), status=409)
    return RedirectResponse(f"/effects/{key}", status_code=303)


@router.post("/effects/{key}/compensate")
async def compensate(
    page: PageDep,
    key: str,
    reason: Annotated[str, Form(max_length=4_000)] = "",
) -> Response:
    """Request the compensation of a done effect, as an action of its own."""
    person, store = page.visitor.person, page.parts.store
    permissions.check(person, "effects.compensate")
    async with store.read() as session:
        await ledger_listing.get(session, key, tenant=person.tenant)
    if not plain_text.trimmed(reason):
        problem = (
            "Say why it is to be taken back; the person who approves it reads this."
        )
        return await _show(page, key, problem=problem, status=422)
    try:
        row, _ = await compensation.ask(
            store,
            key,
            by=person.id,
            by_name=person.name,
            reason=plain_text.trimmed(reason),
        )
    except NoCompensation as error:
        return await _show(page, key, problem=str(error), status=409)
    page.parts.deliver_soon(row.id)
    return RedirectResponse(f"/runs/{row.id}", status_code=303)


async def _show(
    page: Page,
    key: str,
    *,
    problem: str = "",
    status: int = 200,
    done: str = "",
) -> HTMLResponse:
    async with page.parts.store.read() as session:
        row = await ledger_listing.get(session, key, tenant=page.visitor.person.tenant)
        ids = {one for one in (*row.approvers, row.recorded_by) if one}
        names = await accounts.names(session, ids)
        run = await run_lookup.get(session, row.run)
        release = await releases.load(session, run.release)
        taken_back = await compensation.of_effect(session, key)
    return await page.show(
        "ops/effect.html",
        status=status,
        effect=row,
        names=names,
        arguments=parsed(row.arguments),
        preview=parsed(row.preview),
        problem_words=problem,
        can_look_up=release.tool(row.tool).has_reconcile
        and run.status not in ENDED_RUNS,
        taken_back=taken_back,
        can_compensate=release.tool(row.tool).compensate is not None
        and row.status == "done"
        and row.reopened_at is None
        and taken_back is None,
        asked=done == "asked" and row.status == "unknown",
        recorded=done == "recorded" and row.recorded_by is not None,
    )
