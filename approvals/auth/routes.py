"""Signing in with a password, and out, for pages."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Form, Request
from fastapi.responses import RedirectResponse

from keyturn.approvals.auth import accounts, browser, cookies
from keyturn.approvals.auth.local import HOME, local_path
from keyturn.approvals.auth.visitor import SignedIn, refuse_other_origin
from keyturn.approvals.web import routing
from keyturn.approvals.web.dependencies import Parts, PartsDep
from keyturn.approvals.web.errors import WrongPassword
from keyturn.approvals.web.form_request import FormRoute
from keyturn.orchestrator.store.people import sessions, sign_in_throttle
from keyturn.orchestrator.store.people.errors import AccountChanged, TooManyAttempts
from keyturn.orchestrator.store.people.sessions import Came, Method
from keyturn.orchestrator.store.tables import PersonRow

router = routing.of_pages(route_class=FormRoute)


@router.post("/sign-in")
async def sign_in(
    request: Request,
    parts: PartsDep,
    email: Annotated[str, Form(max_length=300)] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form(max_length=2_000)] = HOME,  # noqa: A002 the form's field
) -> RedirectResponse:
    """Open a session and redirect to `next`; on failure back to the form."""
    refuse_other_origin(request)
    try:
        person = await _authenticate(request, parts, email, password)
        response = await let_in(request, parts, person, next, method="password")
    except (WrongPassword, TooManyAttempts, AccountChanged) as error:
        back = _back(next, str(error))
        cookies.save_typed(back, parts, email)
        return back
    browser.remember(response, parts, person)
    return response


@router.post("/sign-out")
async def sign_out(
    request: Request,
    parts: PartsDep,
    visitor: SignedIn,
    everywhere: Annotated[bool, Form()] = False,  # noqa: FBT002 the form's field
) -> RedirectResponse:
    """End this session, or all of this person's and revoke their tokens."""
    person = visitor.person
    if everywhere:
        await sessions.end_all(parts.store, person.id, origin=browser.origin(request))
    elif visitor.csrf is not None:
        await sessions.end(parts.store, person.session, by=person.id)
    response = RedirectResponse("/sign-in", status_code=303)
    cookies.clear(response, parts)
    return response


async def let_in(
    request: Request, parts: Parts, person: PersonRow, wanted: str, *, method: Method
) -> RedirectResponse:
    """Open a session for an authenticated person, and redirect.

    Each sign-in gets a new cookie: one planted before it (session fixation) is useless.
    """
    opened = await sessions.begin(
        parts.store,
        person,
        instead_of=cookies.read(request, parts),
        came=Came(
            method=method,
            address=browser.address(request),
            browser=request.headers.get("user-agent", ""),
        ),
    )
    response = RedirectResponse(local_path(wanted), status_code=303)
    cookies.write(response, parts, opened.cookie)
    return response


async def _authenticate(
    request: Request, parts: Parts, email: str, password: str
) -> PersonRow:
    row = await accounts.of_address(parts.store, email)
    async with browser.counted(request, parts, email, row) as (taken, own):
        person = await accounts.authenticate(
            parts.store, row, password=password, address=browser.address(request)
        )
    await sign_in_throttle.forgive(parts.store, taken, own)
    return person


def _back(wanted: str, why: str) -> RedirectResponse:
    query = urlencode({"next": local_path(wanted), "error": why})
    return RedirectResponse(f"/sign-in?{query}", status_code=303)
