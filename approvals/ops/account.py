"""A person's own settings: who they are here, their password, sessions and tokens."""

from typing import Annotated

from fastapi import Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from approvals import routing, shown_once
from approvals.api.text import Line
from approvals.api.tokens import LONGEST_DAYS, MakeToken, make
from approvals.auth import accounts, permissions
from approvals.auth.passwords import SHORTEST
from approvals.auth.permissions import Action
from approvals.errors import WrongPassword
from approvals.page import Page, PageDep
from approvals.turning import cut, turning
from orchestrator.clock import system_clock
from orchestrator.errors import InvalidValue
from orchestrator.store import people, sessions, tokens
from orchestrator.store.attempts import TooManyAttempts

router = routing.of_pages()


# The kind of what its page shows once.
MADE = "a token"
PAGE = 20


@router.get("/settings")
async def settings(page: PageDep, done: str = "", made: str = "") -> HTMLResponse:
    """Show who is signed in, where, and their tokens; one just made, this once."""
    plain = await shown_once.read(page, made, kind=MADE)
    shown = await _show(page, plain=plain, is_password_set=done == "password")
    shown_once.forget(page, shown)
    return shown


@router.post("/settings/password")
async def change_password(
    page: PageDep,
    old: Annotated[str, Form(max_length=2_000)] = "",
    new: Annotated[str, Form(max_length=2_000)] = "",
) -> Response:
    """Give this person the password they chose; they stay signed in here alone."""
    person = page.visitor.person
    try:
        await accounts.change_own_password(
            page.parts.store, person.id, old=old, new=new, session_id=person.session
        )
    except (WrongPassword, InvalidValue, TooManyAttempts) as error:
        return await _show(page, problem=str(error), status=422)
    return RedirectResponse("/settings?done=password", status_code=303)


@router.post("/settings/sessions/end")
async def end_others(page: PageDep) -> RedirectResponse:
    """Sign this person out everywhere but here."""
    person = page.visitor.person
    await sessions.end_all(page.parts.store, person.id, but=person.session)
    return RedirectResponse("/settings", status_code=303)


@router.post("/settings/sessions/{session}/end")
async def end(page: PageDep, session: str) -> RedirectResponse:
    """End one of this person's sessions."""
    await sessions.end(page.parts.store, session, by=page.visitor.person.id)
    return RedirectResponse("/settings", status_code=303)


@router.post("/settings/tokens")
async def create(
    page: PageDep,
    name: Annotated[Line, Form(max_length=100)],
    scope: Annotated[list[Action], Form()] = ["read"],  # noqa: B006 FastAPI copies it
    days: Annotated[int, Form(ge=1, le=LONGEST_DAYS)] = 30,
) -> Response:
    """Make a token, and go on to where it is shown once."""
    person = page.visitor.person
    wanted = MakeToken(name=name, scopes=scope, days=days)
    made = await make(
        page.parts.store, person, wanted, by=person, made_with=page.visitor.token
    )
    return await shown_once.redirect(
        page, "/settings?made=", kind=MADE, secret=made.secret
    )


@router.post("/settings/tokens/{token}/revoke")
async def revoke(page: PageDep, token: str) -> RedirectResponse:
    """Close one of this person's tokens."""
    person = page.visitor.person
    await tokens.revoke(page.parts.store, token, by=person.id, person=person.id)
    return RedirectResponse("/settings", status_code=303)


async def _show(
    page: Page,
    *,
    plain: str | None = None,
    problem: str = "",
    is_password_set: bool = False,
    status: int = 200,
) -> HTMLResponse:
    person, store = page.visitor.person, page.parts.store
    async with store.read() as session:
        asked = page.request.query_params
        found = await tokens.listing(
            session, person.id, limit=PAGE + 1, before=asked.get("token") or None
        )
        account = await people.get(session, person.id)
    rows, last = cut(found, PAGE)
    return await page.show(
        "ops/settings.html",
        pages_of_tokens=turning(asked, last.id if last else None, name="token"),
        status=status,
        email=page.visitor.email,
        granted=permissions.granted(person),
        tokens=rows,
        sessions=await sessions.listing(store, person.id),
        has_password=account.password_hash is not None,
        issuer=account.oidc_issuer,
        shortest=SHORTEST,
        plain=plain,
        problem_words=problem,
        is_password_set=is_password_set,
        now=system_clock(),
    )
