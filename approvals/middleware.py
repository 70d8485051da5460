"""Around every request: its time, headers that bind the browser, a bound on the body."""

import time

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from approvals import problems
from approvals.auth.cookies import is_secure
from approvals.dependencies import parts_in
from approvals.error_handlers import answer

# A contract's input has at most a million bytes; JSON escapes may double them.
LARGEST_BODY = 2_500_000

POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
YEAR = "max-age=31536000; includeSubDomains"


class Measured:
    """Measures every request."""

    def __init__(self, app: ASGIApp) -> None:
        """Take the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def send_measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                took = time.perf_counter() - began
                latency = parts_in(scope).latency
                latency.observe(scope, message["status"], took)
            await send(message)

        await self._app(scope, receive, send_measured)


class SecurityHeaders:
    """Adds the headers; nothing but static files may be kept by a cache."""

    def __init__(self, app: ASGIApp) -> None:
        """Take the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add(MutableHeaders(scope=message), scope)
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _add(self, headers: MutableHeaders, scope: Scope) -> None:
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        if is_secure(parts_in(scope)):
            headers.setdefault("Strict-Transport-Security", YEAR)
        if not scope["path"].startswith("/static/"):
            headers["Cache-Control"] = "no-store"


class BodyLimit:
    """Refuses a body beyond the bound, before or while it is read."""

    def __init__(self, app: ASGIApp, *, largest: int = LARGEST_BODY) -> None:
        """Take the application and the bound in bytes."""
        self._app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared) > self._largest:
            refused = problems.of_http(self._refusal(), instance=scope["path"])
            await answer(Request(scope), refused)(scope, receive, send)
            return
        await self._app(scope, self._counting(receive), send)

    def _counting(self, receive: Receive) -> Receive:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._largest:
                raise self._refusal()
            return message

        return counted

    def _refusal(self) -> HTTPException:
        return HTTPException(
            413, f"The body is larger than {self._largest} bytes; send less at once."
        )
