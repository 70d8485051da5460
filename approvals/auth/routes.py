"""Signing in and out, for pages."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse

from approvals.auth import accounts, cookies
from approvals.auth.visitor import SignedIn, refuse_other_origin
from approvals.dependencies import Parts, PartsDep
from approvals.errors import TooManyAttempts, WrongPassword
from orchestrator.store import sessions
from orchestrator.store.tables import PersonRow

router = APIRouter(include_in_schema=False)

HOME = "/inbox"


@router.post("/sign-in")
async def sign_in(
    request: Request,
    parts: PartsDep,
    email: Annotated[str, Form(max_length=300)] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form(max_length=2_000)] = HOME,  # noqa: A002 the form's field
) -> RedirectResponse:
    """Open a session and go on to `next`; back to the form where it is wrong."""
    refuse_other_origin(request)
    try:
        person = await _authenticate(request, parts, email, password)
    except (WrongPassword, TooManyAttempts) as error:
        return _back(next, str(error))
    # A fresh cookie at each sign-in: one planted before opens nothing afterwards.
    opened = await sessions.begin(
        parts.store, person, instead_of=cookies.read(request, parts)
    )
    response = RedirectResponse(local_path(next), status_code=303)
    cookies.write(response, parts, opened.cookie)
    return response


@router.post("/sign-out")
async def sign_out(request: Request, parts: PartsDep, _: SignedIn) -> RedirectResponse:
    """End the session."""
    cookie = cookies.read(request, parts)
    if cookie is not None:
        await sessions.end(parts.store, cookie)
    response = RedirectResponse("/sign-in", status_code=303)
    cookies.clear(response, parts)
    return response


def local_path(wanted: str) -> str:
    """Return `wanted` where it is a path of this server; else the inbox."""
    is_local = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return wanted if is_local and wanted.isprintable() else HOME


async def _authenticate(
    request: Request, parts: Parts, email: str, password: str
) -> PersonRow:
    host = request.client.host if request.client else "unknown"
    parts.attempts.check(email, host)
    try:
        person = await accounts.authenticate(
            parts.store, email=email, password=password
        )
    except WrongPassword:
        parts.attempts.fail(email, host)
        raise
    parts.attempts.forget(email, host)
    return person


def _back(wanted: str, why: str) -> RedirectResponse:
    query = urlencode({"next": local_path(wanted), "error": why})
    return RedirectResponse(f"/sign-in?{query}", status_code=303)
