"""Signing in through the OpenID provider: there and back."""

import secrets
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from keyturn.approvals.auth import browser, cookies, reauthentication
from keyturn.approvals.auth.local import HOME, local_path
from keyturn.approvals.auth.oidc import (
    Flow,
    IdentityRefused,
    OpenIdProvider,
    ProviderAway,
)
from keyturn.approvals.auth.routes import let_in
from keyturn.approvals.auth.visitor import SignedIn, maybe_visitor
from keyturn.approvals.web import routing
from keyturn.approvals.web.dependencies import Parts, PartsDep
from keyturn.orchestrator.store.people import accounts, oidc_links, sign_in_throttle
from keyturn.orchestrator.store.people.errors import NoAccountFor, TooManyAttempts
from keyturn.orchestrator.store.tables import PersonRow

router = routing.of_pages()

# How long a sign-in at the provider may take.
LONGEST_S = 600
SETTINGS = "/settings"
Given = Annotated[str, Query(max_length=4_000)]


@router.get("/sign-in/oidc")
async def begin(
    parts: PartsDep,
    next: Given = HOME,  # noqa: A002 the link's own word
) -> RedirectResponse:
    """Send the browser to the provider, or back to the form if that is away."""
    if parts.oidc is None:
        return _back("off", wanted=next)
    try:
        url, flow = await parts.oidc.begin(local_path(next))
    except ProviderAway:
        return _back("away", wanted=next)
    response = RedirectResponse(url, status_code=303)
    _write(response, parts, flow.pack(), age_s=LONGEST_S)
    return response


@router.get("/sign-in/oidc/callback")
async def finish(
    request: Request,
    parts: PartsDep,
    code: Given = "",
    state: Given = "",
    iss: Given | None = None,
) -> RedirectResponse:
    """Sign in the person that the provider names, if they have an account."""
    provider = parts.oidc
    if provider is None:
        return _back("off", wanted=HOME)
    flow = Flow.unpack(request.cookies.get(_name(parts), ""))
    wanted = flow.wanted if flow else HOME
    try:
        flow = _begun_here(flow, state)
        if iss not in (None, provider.issuer) or not code:
            return _cleared(parts, _back("refused", wanted=wanted, flow=flow))
        go_on = _confirmed if flow.confirms else _come_in
        response = await go_on(request, parts, provider, flow, code)
    except TooManyAttempts as error:
        response = _back(str(error), wanted=wanted, flow=flow)
    except ProviderAway:
        response = _back("away", wanted=wanted, flow=flow)
    except IdentityRefused:
        response = _back("refused", wanted=wanted, flow=flow)
    except NoAccountFor as error:
        response = _back(error.why, wanted=wanted)
    return _cleared(parts, response)


async def _come_in(
    request: Request, parts: Parts, provider: OpenIdProvider, flow: Flow, code: str
) -> RedirectResponse:
    person = await _recognised(request, parts, provider, flow, code)
    return await let_in(request, parts, person, flow.wanted, method="oidc")


@router.post("/settings/confirm")
async def begin_anew(
    parts: PartsDep,
    visitor: SignedIn,
    next: Annotated[str, Form(max_length=2_000)] = SETTINGS,  # noqa: A002 the form's field
) -> RedirectResponse:
    """Send a signed-in person to the provider to sign in again."""
    if parts.oidc is None:
        return _settings("off")
    try:
        session = visitor.person.session
        url, flow = await parts.oidc.begin(local_path(next), confirms=session)
    except ProviderAway:
        return _settings("away")
    response = RedirectResponse(url, status_code=303)
    _write(response, parts, flow.pack(), age_s=LONGEST_S)
    return response


async def _confirmed(
    request: Request, parts: Parts, provider: OpenIdProvider, flow: Flow, code: str
) -> RedirectResponse:
    """Return to the starting page: the session's person has just signed in again.

    The session does not change, even if the provider names another person.
    """
    async with browser.counted_here(request, parts) as taken:
        found = await provider.finish(flow, code=code)
    visitor = await maybe_visitor(request, parts)
    if visitor is None or visitor.person.session != flow.confirms:
        return _settings("session")
    async with parts.store.read() as session:
        row = await accounts.get(session, visitor.person.id)
    at = found.signed_in_at
    if (row.oidc_issuer, row.oidc_subject) != (found.issuer, found.subject):
        why = "another"
    elif at is None:
        why = "no-time"
    elif not await reauthentication.is_recent(parts.store, at):
        why = "stale"
    else:
        response = RedirectResponse(local_path(flow.wanted), status_code=303)
        await reauthentication.keep_fresh(response, parts, visitor, at=at)
        await sign_in_throttle.forgive(parts.store, taken, "")
        return response
    await accounts.record_failed_sign_in(
        parts.store, row, address=browser.address(request), how="oidc", why=why
    )
    return _settings(why)


def _settings(why: str) -> RedirectResponse:
    return RedirectResponse(f"{SETTINGS}?{urlencode({'again': why})}", status_code=303)


def _begun_here(flow: Flow | None, state: str) -> Flow:
    """Return this browser's flow, or raise: another site may have sent it here."""
    if flow is None or not secrets.compare_digest(
        flow.state.encode(), state.encode(errors="replace")
    ):
        raise IdentityRefused(
            "This sign-in was not started in this browser. Start it again here."
        )
    return flow


def _cleared(parts: Parts, response: RedirectResponse) -> RedirectResponse:
    """Delete the flow's cookie: the callback works once, successful or not."""
    _write(response, parts, "", age_s=0)
    return response


async def _recognised(
    request: Request, parts: Parts, provider: OpenIdProvider, flow: Flow, code: str
) -> PersonRow:
    """Return the identity's account; count and record every other outcome."""
    address = browser.address(request)
    try:
        async with browser.counted_here(request, parts) as taken:
            found = await provider.finish(flow, code=code)
        person = await oidc_links.find(
            parts.store, issuer=found.issuer, subject=found.subject, email=found.email
        )
    except (IdentityRefused, NoAccountFor) as error:
        row = error.row if isinstance(error, NoAccountFor) else None
        why = error.why if isinstance(error, NoAccountFor) else "not proven"
        await accounts.record_failed_sign_in(
            parts.store, row, address=address, how="oidc", why=why
        )
        raise
    await sign_in_throttle.forgive(parts.store, taken, "")
    return person


def _back(why: str, *, wanted: str, flow: Flow | None = None) -> RedirectResponse:
    if flow is not None and flow.confirms:
        return _settings(why)
    query = urlencode({"next": local_path(wanted), "error": why})
    return RedirectResponse(f"/sign-in?{query}", status_code=303)


def _write(response: Response, parts: Parts, value: str, *, age_s: int) -> None:
    response.set_cookie(
        _name(parts),
        value,
        max_age=age_s,
        path="/",
        secure=cookies.is_secure(parts),
        httponly=True,
        samesite="lax",
    )


def _name(parts: Parts) -> str:
    return f"{cookies.name(parts)}-oidc"
