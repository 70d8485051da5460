"""How many runs this process starts at once: who comes on top is asked to come again.

A start is quick; a flood of them is not. Queued they would hold up the decisions and
switches of everybody else, and be given up by their senders while they are still done.
"""

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from keyturn.approvals.web import problems
from keyturn.approvals.web.error_handlers import answer
from keyturn.approvals.web.routing import PREFIX

# One takes some 10 ms here, so that the last of these waits for a third of a second.
MOST_AT_ONCE = 32
RETRY_AFTER_S = 1
STARTS = frozenset({f"{PREFIX}/runs", "/runs/new"})


class Admission:
    """Answers 429 to a start that comes on top of too many others."""

    def __init__(self, app: ASGIApp, *, most: int = MOST_AT_ONCE) -> None:
        """Take the application, and how many starts it may be at."""
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
            f"This server is starting {self._most} runs already; yours was not "
            f"started. Send it again in {RETRY_AFTER_S} s.",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        )


def _is_start(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] == "POST"
        and scope["path"] in STARTS
    )
