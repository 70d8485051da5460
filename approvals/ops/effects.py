"""The effect ledger: what was sent, and what a person has to find out."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from approvals.auth import permissions
from approvals.facts import parsed
from approvals.page import Page, PageDep
from orchestrator.store import effects, ledger_view, people, sending
from orchestrator.store.sending import NotUnknown, Resolution

router = APIRouter()


@router.get("/effects")
async def listing(page: PageDep) -> HTMLResponse:
    """Show the ledger, unknown effects first."""
    async with page.parts.store.read() as session:
        found = await ledger_view.unknown_first(
            session, tenant=page.visitor.person.tenant
        )
    return await page.show("ops/effects.html", rows=found)


@router.get("/effects/{key}")
async def show(page: PageDep, key: str) -> HTMLResponse:
    """Show one effect; where it is unknown, the form to record what happened."""
    return await _show(page, key)


@router.post("/effects/{key}/record")
async def record(
    page: PageDep,
    key: str,
    happened: Annotated[Literal["yes", "no"], Form()],
    evidence: Annotated[str, Form(max_length=4_000)] = "",
) -> Response:
    """Record what really happened to an unknown effect."""
    person, store = page.visitor.person, page.parts.store
    permissions.check(person, "effects.record")
    async with store.read() as session:
        await effects.get(session, key, tenant=person.tenant)
    if not evidence.strip():
        words = "Say how you know: a number, a log line, whom you asked."
        return await _show(page, key, problem=words, status=422)
    found = Resolution(
        happened=happened == "yes",
        evidence=evidence.strip(),
        person=person.id,
        person_name=person.name,
    )
    try:
        row = await sending.resolve(store, key, found)
    except NotUnknown as error:
        return await _show(page, key, problem=str(error), status=409)
    page.parts.deliver_soon(row.run)
    return RedirectResponse(f"/effects/{key}", status_code=303)


async def _show(
    page: Page, key: str, *, problem: str = "", status: int = 200
) -> HTMLResponse:
    async with page.parts.store.read() as session:
        row = await effects.get(session, key, tenant=page.visitor.person.tenant)
        ids = {one for one in (*row.approvers, row.recorded_by) if one}
        names = await people.names(session, ids)
    return await page.show(
        "ops/effect.html",
        status=status,
        effect=row,
        names=names,
        arguments=parsed(row.arguments),
        preview=parsed(row.preview),
        problem_words=problem,
    )
