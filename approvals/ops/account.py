"""A person's own settings: who they are here, their password, sessions and tokens."""

from typing import Annotated

from fastapi import Form, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from keyturn.approvals.api import tokens as token_body
from keyturn.approvals.api.fields import Line
from keyturn.approvals.api.tokens import LONGEST_DAYS, Asker, MakeToken, make
from keyturn.approvals.auth import accounts, browser, permissions, reauthentication
from keyturn.approvals.auth.accounts import LONGEST_PASSWORD
from keyturn.approvals.auth.passwords import SHORTEST
from keyturn.approvals.auth.permissions import Action
from keyturn.approvals.view.wording import sentence
from keyturn.approvals.web import routing, shown_once
from keyturn.approvals.web.errors import NotFresh, WrongPassword
from keyturn.approvals.web.page import Page, PageDep
from keyturn.approvals.web.page_links import cut, turning
from keyturn.orchestrator.rules.errors import InvalidValue
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people import (
    revocation,
    sessions,
    token_lifetime,
    tokens,
)
from keyturn.orchestrator.store.people.errors import AccountChanged, TooManyAttempts

router = routing.of_pages()

# The form's default: the longest life of a token that decides.
USUAL_DAYS = token_lifetime.MOST_DAYS_DECIDING

# The kind of result that the page shows once.
MADE = "a token"
PAGE = 20
DONE = {
    "password": "Your password was changed. You are signed out everywhere else, "
    "and all your tokens are revoked.",
    "signed-out": "You are signed out everywhere else, and all your tokens are revoked.",
}
# Results of a repeated sign-in at the OpenID provider, by their name in `oidc_routes`.
AGAIN = {
    "off": "No sign-in service is set up here, so nothing was done.",
    "away": "The sign-in service does not answer. Try again in a minute.",
    "refused": "The sign-in service's answer was not valid, or it came too late. "
    "Press “Sign in again” once more.",
    "session": "Your session has changed in the meantime. Press “Sign in again” once more.",
    "another": "You signed in there with another identity than here. Press “Sign in "
    "again” once more, and sign in there as yourself.",
    "no-time": "The sign-in service does not say when you signed in (it sends no "
    "auth_time), so it cannot confirm that it is you. Ask the person who runs the "
    "server to make a token for you with `keyturn user token`.",
    "stale": "The sign-in service did not ask you to sign in again, so this does not "
    "confirm that it is you. Sign out there, then press “Sign in again” once more.",
}
# Errors that the person can correct: shown on the page that sent the form.
REFUSALS = (NotFresh, WrongPassword, InvalidValue, TooManyAttempts, AccountChanged)


@router.get("/settings")
async def settings(
    page: PageDep, done: str = "", made: str = "", again: str = ""
) -> HTMLResponse:
    """Show the person, their sessions and tokens; a new token is shown once."""
    plain = await shown_once.read(page, made, kind=MADE)
    said = DONE.get(done, "")
    shown = await _show(page, plain=plain, said=said, problem=_again(again))
    shown_once.forget(page, shown)
    return shown


@router.post("/settings/password")
async def change_password(
    page: PageDep,
    old: Annotated[str, Form(max_length=2_000)] = "",
    new: Annotated[str, Form(max_length=2_000)] = "",
) -> Response:
    """Set the password this person chose; only the present session stays open.

    All their tokens are revoked.
    """
    person = page.visitor.person
    try:
        await accounts.change_own_password(
            page.parts.store,
            person.id,
            old=old,
            new=new,
            session_id=person.session,
            origin=browser.origin(page.request),
        )
    except REFUSALS as error:
        return await _show(page, problem=sentence(error), status=422)
    return RedirectResponse("/settings?done=password", status_code=303)


@router.post("/settings/sessions/end")
async def end_others(page: PageDep) -> RedirectResponse:
    """End this person's other sessions, and revoke their tokens."""
    person = page.visitor.person
    origin = browser.origin(page.request)
    await sessions.end_all(
        page.parts.store, person.id, but=person.session, origin=origin
    )
    return RedirectResponse("/settings?done=signed-out", status_code=303)


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
    days: Annotated[int, Form(ge=1, le=LONGEST_DAYS)] = USUAL_DAYS,
    password: Annotated[str, Form(max_length=2_000)] = "",
) -> Response:
    """Create a token, and redirect to the page that shows it once."""
    asker = Asker(page.request, page.parts, page.visitor)
    wanted = MakeToken(
        name=name, scopes=scope, days=days, password=password[:LONGEST_PASSWORD]
    )
    try:
        made = await make(asker, page.visitor.person, wanted)
    except REFUSALS as error:
        return await _show(page, problem=sentence(error), status=422)
    shown = await shown_once.redirect(
        page, "/settings?made=", kind=MADE, secret=made.secret
    )
    reauthentication.forget(shown, page.parts)
    return shown


@router.post("/settings/tokens/{token}/revoke")
async def revoke(page: PageDep, token: str) -> RedirectResponse:
    """Revoke one of this person's tokens."""
    person = page.visitor.person
    await tokens.revoke(page.parts.store, token, by=person.id, person=person.id)
    return RedirectResponse("/settings", status_code=303)


def _again(why: str) -> str:
    """Return a text of our own: a link must not put foreign words on this page."""
    return "" if not why else AGAIN.get(why, AGAIN["refused"])


async def _show(
    page: Page,
    *,
    plain: str | None = None,
    problem: str = "",
    said: str = "",
    status: int = 200,
) -> HTMLResponse:
    person, store = page.visitor.person, page.parts.store
    async with store.read() as session:
        asked = page.request.query_params
        found = await tokens.listing(
            session, person.id, limit=PAGE + 1, before=asked.get("token") or None
        )
        account = await person_accounts.get(session, person.id)
        now = await session.read_clock()
        ending = await revocation.live(session, person.id)
    rows, last = cut(found, PAGE)
    provider = page.parts.oidc
    return await page.show(
        "ops/settings.html",
        pages_of_tokens=turning(asked, last.id if last else None, name="token"),
        status=status,
        email=page.visitor.email,
        granted=permissions.granted(person),
        tokens=[token_body.body(row, kind=person.kind) for row in rows],
        ending=[one.name for one in ending],
        decides=token_lifetime.DECIDING,
        longest=LONGEST_DAYS,
        longest_deciding=token_lifetime.MOST_DAYS_DECIDING,
        usual_days=USUAL_DAYS,
        sessions=await sessions.listing(store, person.id),
        has_password=account.password_hash is not None,
        issuer=account.oidc_issuer,
        provider=provider.host if provider and account.oidc_issuer else None,
        is_fresh=reauthentication.seems_fresh(page.request, page.parts),
        shortest=SHORTEST,
        plain=plain,
        problem_words=problem,
        said=said,
        now=now,
    )
