"""The sign-in page and the root address."""

import re

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from keyturn.approvals.auth import cookies
from keyturn.approvals.auth.local import local_path
from keyturn.approvals.web import routing
from keyturn.approvals.web.dependencies import PartsDep
from keyturn.approvals.web.page import OpenPageDep

router = routing.of_pages()

WRONG = (
    "The address or the password is wrong, or the account is closed. "
    "Check both and try again."
)
# Errors of an OpenID sign-in, by the names that `oidc_routes` gives them.
OIDC = {
    "off": "No sign-in service is set up here. Sign in with a password.",
    "away": "The sign-in service does not answer. Try again in a minute, or sign in "
    "with a password if you have one.",
    "refused": "The sign-in service's answer was not valid, or it came too late. "
    "Sign in again.",
    "unverified": "The sign-in service has not verified your e-mail address. Verify it "
    "there, then sign in again.",
    "unknown": "No account here has your e-mail address. Ask an admin to open one.",
    "password": "Your account has a password: sign in with it. To sign in without it, "
    "ask an admin to remove the password.",
    "taken": "The account with your e-mail address belongs to another identity at the sign-in "
    "service. Ask an admin.",
    "closed": "This account is closed. Ask an admin.",
}
_WAIT = re.compile(
    r"Too many wrong passwords were tried\. Try again in \d{1,6} seconds\."
)


@router.get("/")
async def home() -> RedirectResponse:
    """Redirect to the inbox."""
    return RedirectResponse("/inbox", status_code=303)


@router.get("/sign-in")
async def sign_in(
    request: Request,
    page: OpenPageDep,
    parts: PartsDep,
    next: str = "/inbox",  # noqa: A002 the link's own word
    error: str | None = None,
) -> Response:
    """Show the form; redirect people who are signed in already."""
    if page.is_signed_in and error is None:
        return RedirectResponse(local_path(next), status_code=303)
    return page.show(
        "sign_in.html",
        next=local_path(next),
        error=_words(error),
        # Only beside its error: an earlier attempt's address is not shown.
        typed=cookies.typed(request) if error else "",
        oidc=parts.oidc.host if parts.oidc else None,
    )


def _words(error: str | None) -> str | None:
    """Return a text of our own: a link must not put foreign words on this page."""
    if error is None or _WAIT.fullmatch(error):
        return error
    return OIDC.get(error, WRONG)
