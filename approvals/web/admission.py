"""A bound on concurrent run starts in this process; beyond it, clients must retry.

One start is quick, a flood of them is not. Queued starts would delay everybody's
decisions and switches, and would run after their clients had given up.
"""

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from keyturn.approvals.web import problems
from keyturn.approvals.web.error_handlers import answer
from keyturn.approvals.web.routing import PREFIX

# One takes about 10 ms here, so the last of these waits a third of a second.
MOST_AT_ONCE = 32
RETRY_AFTER_S = 1
STARTS = frozenset({f"{PREFIX}/runs", "/runs/new"})


class Admission:
    """Middleware that answers 429 when too many starts are under way."""

    def __init__(self, app: ASGIApp, *, most: int = MOST_AT_ONCE) -> None:
        """Take the application, and the bound on concurrent starts."""
        self._app = app
        self._most = most
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if not _is_start(scope):
            await self._app(scope, receive, send)
            return
        if self._under_way >= self._most:
            refused = problems.of_http(self._refusal(), instance=scope["path"])
            await answer(Request(scope), refused)(scope, receive, send)
            return
        self._under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1

    def _refusal(self) -> HTTPException:
        return HTTPException(
            429,
            f"This server is already starting {self._most} runs; yours was not "
            f"started. Send it again in {RETRY_AFTER_S} s.",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        )


def _is_start(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] == "POST"
        and scope["path"] in STARTS
    )
