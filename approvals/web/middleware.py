"""Middleware for every request: latency, security headers, bounds on the body."""

import asyncio
import time

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keyturn.approvals.auth.cookies import is_secure
from keyturn.approvals.web import problems
from keyturn.approvals.web.dependencies import parts_in
from keyturn.approvals.web.error_handlers import answer

# A contract's input has at most a million bytes; JSON escapes may double them.
LARGEST_BODY = 2_500_000
# The time that the largest body may take, at 80 kB a second.
BODY_WITHIN_S = 30.0

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
    """Adds security headers; only static files may be cached."""

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
    """Refuses a body that exceeds the bounds, before or while it is read."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        largest: int = LARGEST_BODY,
        within_s: float = BODY_WITHIN_S,
    ) -> None:
        """Take the application and the bounds: bytes, and seconds to arrive in."""
        self._app = app
        self._largest = largest
        self._within_s = within_s

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
        await self._app(scope, self._bounded(receive), send)

    def _bounded(self, receive: Receive) -> Receive:
        seen, is_whole, clock = 0, False, asyncio.get_running_loop().time
        deadline: float | None = None

        async def bounded() -> Message:
            nonlocal seen, is_whole, deadline
            if is_whole:
                # The next message says that the client has disconnected.
                return await receive()
            deadline = deadline or clock() + self._within_s
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise self._too_slow() from None
            is_whole = not message.get("more_body", False)
            seen += len(message.get("body", b""))
            if seen > self._largest:
                raise self._refusal()
            return message

        return bounded

    def _refusal(self) -> HTTPException:
        return HTTPException(
            413, f"The body is larger than {self._largest} bytes; send a smaller one."
        )

    def _too_slow(self) -> HTTPException:
        return HTTPException(
            408,
            f"The body did not arrive within {self._within_s:g} s; nothing was done. "
            "Send it again.",
            headers={"Connection": "close"},
        )
