"""Error responses: a problem document for programs, a page for people."""

import traceback
from contextlib import suppress
from urllib.parse import quote, urlsplit

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keyturn.approvals.auth.local import HOME, local_path
from keyturn.approvals.web import error_page, problems
from keyturn.approvals.web.dependencies import parts_of
from keyturn.approvals.web.errors import NotSignedIn
from keyturn.approvals.web.problems import Answer
from keyturn.orchestrator.rules.errors import KeyturnError, StoreUnavailable
from keyturn.orchestrator.store.db.errors import ForgedRow
from keyturn.orchestrator.store.integrity import forgery

log = structlog.get_logger()

FOR_PROGRAMS = ("/api/", "/healthz", "/readyz", "/metrics")


def install(app: FastAPI) -> None:
    """Install the handlers, so that all errors have one form."""
    app.add_exception_handler(KeyturnError, _on_condition)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)


class CatchBugs:
    """Middleware that answers a bug in the same form, with headers and metrics.

    Starlette's own handler is outside every middleware; this one is inside.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Take the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = has_begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if scope["type"] != "http" or has_begun:
                raise
            # Without locals, which hold passwords and tokens (P12).
            trace = "".join(traceback.format_exception(error))
            log.critical("http.bug", path=scope["path"], trace=trace)
            found = problems.of_bug(instance=scope["path"])
            await answer(Request(scope), found)(scope, receive, send)


def answer(request: Request, found: Answer) -> Response:
    """Return the response in the form that the client reads."""
    if wants_page(request):
        body = error_page.render(
            found.problem, sent=_given_back(request, found), back=_came_from(request)
        )
        return HTMLResponse(body, found.problem.status, headers=found.headers)
    return Response(
        found.problem.model_dump_json(),
        found.problem.status,
        headers=found.headers,
        media_type=problems.MEDIA_TYPE,
    )


def _given_back(request: Request, found: Answer) -> list[tuple[str, str]]:
    """Return the form's texts, or nothing if another site sent it."""
    if found.problem.status in (401, 403):
        return []
    return getattr(request.state, "sent", [])


def _came_from(request: Request) -> str:
    """Return our page that sent the form, for the link back."""
    try:
        came = urlsplit(request.headers.get("referer", ""))
    except ValueError:  # no browser sends this: a malformed URL such as `http://[`
        return HOME
    is_ours = came.netloc == request.headers.get("host") and request.method == "POST"
    return local_path(came.path) if is_ours else HOME


def wants_page(request: Request) -> bool:
    """Tell whether a browser sent the request, rather than a program."""
    if request.url.path.startswith(FOR_PROGRAMS):
        return False
    return "text/html" in request.headers.get("accept", "") or _is_htmx(request)


async def _on_condition(request: Request, error: Exception) -> Response:
    if isinstance(error, NotSignedIn) and wants_page(request):
        return _to_sign_in(request)
    if not isinstance(error, KeyturnError):
        raise error
    if isinstance(error, ForgedRow):
        with suppress(StoreUnavailable):
            await forgery.tell_row(parts_of(request).store, error)
    found = problems.of_error(error, instance=request.url.path)
    if found.problem.status >= 500:
        log.error("http.failed", path=request.url.path, error=repr(error))
    return answer(request, found)


async def _on_validation(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    return answer(request, problems.of_validation(error, instance=request.url.path))


async def _on_http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return answer(request, problems.of_http(error, instance=request.url.path))


def _to_sign_in(request: Request) -> Response:
    asked = request.url.path if request.method == "GET" else "/inbox"
    target = f"/sign-in?next={quote(asked)}"
    if _is_htmx(request):
        return Response(status_code=401, headers={"HX-Redirect": target})
    return RedirectResponse(target, status_code=303)


def _is_htmx(request: Request) -> bool:
    return request.headers.get("hx-request") == "true"
