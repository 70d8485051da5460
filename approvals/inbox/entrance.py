"""The way in: the sign-in page and the address without a path."""

import re

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response

from approvals.auth.local import local_path
from approvals.page import OpenPageDep

router = APIRouter()

WRONG = (
    "This address and password do not belong together, or the account is closed. "
    "Check both and try again."
)
_WAIT = re.compile(r"Too many wrong passwords\. Try again in \d{1,6} seconds\.")


@router.get("/")
async def home() -> RedirectResponse:
    """Go on to the inbox."""
    return RedirectResponse("/inbox", status_code=303)


@router.get("/sign-in")
async def sign_in(
    page: OpenPageDep,
    next: str = "/inbox",  # noqa: A002 the link's own word
    error: str | None = None,
) -> Response:
    """Show the form; whoever is signed in already goes on."""
    if page.is_signed_in and error is None:
        return RedirectResponse(local_path(next), status_code=303)
    return page.show("sign_in.html", next=local_path(next), error=_words(error))


def _words(error: str | None) -> str | None:
    """Return our own words: a link made by others must not put theirs on this page."""
    if error is None or _WAIT.fullmatch(error):
        return error
    return WRONG
