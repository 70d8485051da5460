"""The session's cookie."""

from urllib.parse import quote, unquote

from fastapi import Request, Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keyturn.approvals.web.dependencies import Parts, parts_in
from keyturn.orchestrator.store.people.sessions import LONGEST

_GIVEN = "keyturn.cookie"
_TYPED = "keyturn-typed"
_TYPED_FOR_S = 300


def is_secure(parts: Parts) -> bool:
    """Tell whether browsers reach this server over https."""
    url = parts.settings.public_url or ""
    return url.startswith("https://")


def name(parts: Parts) -> str:
    """Return the cookie's name; over https the browser itself keeps it to this host."""
    return "__Host-keyturn" if is_secure(parts) else "keyturn"


def read(request: Request, parts: Parts) -> str | None:
    """Return the cookie that the browser sent."""
    return request.cookies.get(name(parts))


def write(response: Response, parts: Parts, cookie: str) -> None:
    """Give the browser its cookie; scripts cannot read it."""
    response.set_cookie(
        name(parts),
        cookie,
        max_age=int(LONGEST.total_seconds()),
        path="/",
        secure=is_secure(parts),
        httponly=True,
        samesite="lax",
    )


def save_typed(response: Response, parts: Parts, address: str) -> None:
    """Keep the typed address for the sign-in page, so that no link contains it."""
    response.set_cookie(
        _TYPED,
        quote(address, safe=""),
        max_age=_TYPED_FOR_S,
        path="/sign-in",
        secure=is_secure(parts),
        httponly=True,
        samesite="strict",
    )


def typed(request: Request) -> str:
    """Return the address that was typed just before, or nothing."""
    return unquote(request.cookies.get(_TYPED, ""))


def give(request: Request, cookie: str) -> None:
    """Set a new cookie on the response to this request, errors included."""
    request.scope[_GIVEN] = cookie


class Rotation:
    """Middleware that sets the new cookie that a request was given."""

    def __init__(self, app: ASGIApp) -> None:
        """Take the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and _GIVEN in scope:
                self._add(MutableHeaders(scope=message), scope)
            await send(message)

        await self._app(scope, receive, with_cookie)

    def _add(self, headers: MutableHeaders, scope: Scope) -> None:
        # Signing out deletes the cookie; that response is left unchanged.
        parts = parts_in(scope)
        own = f"{name(parts)}="
        if not any(one.startswith(own) for one in headers.getlist("set-cookie")):
            carrier = Response()
            write(carrier, parts, scope[_GIVEN])
            headers.append("set-cookie", carrier.headers["set-cookie"])


def clear(response: Response, parts: Parts) -> None:
    """Delete the cookie."""
    response.delete_cookie(
        name(parts), path="/", secure=is_secure(parts), httponly=True, samesite="lax"
    )
