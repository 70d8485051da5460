"""Secrets that a page shows once, after a redirect, and never in a URL.

The record stores a secret sealed; its key is a cookie of this browser. One without the
other is useless, and opening the secret deletes it from the record.
"""

from fastapi import Response
from fastapi.responses import RedirectResponse

from keyturn.approvals.auth import cookies
from keyturn.approvals.web.page import Page
from keyturn.orchestrator.store.db import form_results

_SECONDS = 300


async def redirect(page: Page, path: str, *, kind: str, secret: str) -> Response:
    """Return a redirect to the page that shows the secret: `path` and the id."""
    person = page.visitor.person.id
    result, opener = await form_results.seal(
        page.parts.store, person=person, kind=kind, secret=secret
    )
    response = RedirectResponse(f"{path}{result}", status_code=303)
    _write(response, page, opener, seconds=_SECONDS)
    return response


async def read(page: Page, result: str, *, kind: str) -> str | None:
    """Return the secret once; empty if it was shown before or belongs elsewhere.

    None if the request named no result.
    """
    if not result:
        return None
    opener = page.request.cookies.get(_name(page), "")
    found = await form_results.open_once(
        page.parts.store,
        person=page.visitor.person.id,
        kind=kind,
        result=result,
        opener=opener,
    )
    return found or ""


def forget(page: Page, response: Response) -> None:
    """Delete the cookie: its secret has been shown, or is gone."""
    if _name(page) in page.request.cookies:
        _write(response, page, "", seconds=0)


def _write(response: Response, page: Page, value: str, *, seconds: int) -> None:
    response.set_cookie(
        _name(page),
        value,
        max_age=seconds,
        path="/",
        secure=cookies.is_secure(page.parts),
        httponly=True,
        samesite="lax",
    )


def _name(page: Page) -> str:
    return f"{cookies.name(page.parts)}-once"
