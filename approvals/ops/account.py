"""A person's own settings: who they are here, what they may do, their tokens."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse

from approvals.auth import permissions
from approvals.page import Page, PageDep
from orchestrator.clock import system_clock
from orchestrator.errors import NotFound
from orchestrator.store import tokens

router = APIRouter()

LONGEST_DAYS = 365


@router.get("/settings")
async def settings(page: PageDep) -> HTMLResponse:
    """Show who is signed in, and their tokens."""
    return await _show(page)


@router.post("/settings/tokens")
async def create(
    page: PageDep,
    name: Annotated[str, Form(min_length=1, max_length=100)],
    days: Annotated[int, Form(ge=1, le=LONGEST_DAYS)] = 30,
) -> HTMLResponse:
    """Make a token and show it, this once."""
    person = page.visitor.person
    plain = await tokens.create(
        page.parts.store,
        person.id,
        name=name,
        by=person.id,
        ends_in=timedelta(days=days),
    )
    return await _show(page, plain=plain)


@router.post("/settings/tokens/{token}/revoke")
async def revoke(page: PageDep, token: str) -> RedirectResponse:
    """Close one of this person's tokens."""
    person, store = page.visitor.person, page.parts.store
    async with store.read() as session:
        own = {row.id for row in await tokens.listing(session, person.id)}
    if token not in own:
        raise NotFound(kind="token", name=token)
    await tokens.revoke(store, token, by=person.id)
    return RedirectResponse("/settings", status_code=303)


async def _show(page: Page, *, plain: str | None = None) -> HTMLResponse:
    person = page.visitor.person
    async with page.parts.store.read() as session:
        rows = await tokens.listing(session, person.id)
    return await page.show(
        "ops/settings.html",
        email=page.visitor.email,
        granted=permissions.granted(person),
        tokens=rows,
        plain=plain,
        now=system_clock(),
    )
