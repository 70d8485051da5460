"""Temporal's web UI, reachable only from this machine's own browser.

It has no sign-in and does not check the host name of a request: any page whose name is
pointed to 127.0.0.1 could use it (DNS rebinding). So it listens at an address that no
page can find, and is reached through this proxy, under the names of this machine.
"""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    import httpx2

NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
METHODS = [*SAFE, "POST", "PUT", "PATCH", "DELETE"]
# A browser states with these where a request comes from; programs state nothing.
OWN_PAGES = frozenset({"same-origin", "none"})
# Headers of one connection, not of the message (RFC 9110, 7.6.1).
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)


def build(upstream: str) -> Starlette:
    """Return the application that forwards to the UI at `upstream`."""
    clients: list[httpx2.AsyncClient] = []

    async def hand_on(request: Request) -> Response:
        refused = _refusal(request)
        if refused is not None:
            return PlainTextResponse(refused, status_code=403)
        if not clients:
            clients.append(_client(upstream))
        return await _handed_on(clients[0], request)

    return Starlette(routes=[Route("/{path:path}", hand_on, methods=METHODS)])


def _client(upstream: str) -> "httpx2.AsyncClient":
    # Loaded at the first request: it takes longer than the rest of this process.
    import httpx2  # noqa: PLC0415

    from keyturn.activities.http_client import no_cookies  # noqa: PLC0415

    return httpx2.AsyncClient(
        base_url=upstream, trust_env=False, timeout=60, cookies=no_cookies()
    )


def _refusal(request: Request) -> str | None:
    host = request.headers.get("host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name.lower() not in NAMES:
        return (
            f"Temporal's UI of `keyturn dev` answers only as 127.0.0.1 or localhost, not "
            f"as {name[:100]!r}. Open the address that `keyturn dev` printed."
        )
    site = request.headers.get("sec-fetch-site", "none")
    origin = urlsplit(request.headers.get("origin", f"http://{host}")).hostname or ""
    is_own = site in OWN_PAGES and origin.lower() in {one.strip("[]") for one in NAMES}
    if request.method not in SAFE and not is_own:
        return (
            "A page of another site may not change anything here. Nothing was changed."
        )
    return None


async def _handed_on(client: "httpx2.AsyncClient", request: Request) -> Response:
    import httpx2  # noqa: PLC0415 already imported elsewhere

    sent = [(k, v) for k, v in request.headers.raw if k.decode() not in _HOP_BY_HOP]
    try:
        asked = client.build_request(
            request.method,
            httpx2.URL(path=request.url.path, query=request.url.query.encode()),
            headers=sent,
            content=await request.body(),
        )
    except (httpx2.InvalidURL, ValueError):
        return PlainTextResponse("Temporal's UI has no such address.", 400)
    try:
        answer = await client.send(asked, stream=True)
    except httpx2.HTTPError:
        return PlainTextResponse(
            "Temporal's UI does not answer. Try again in a moment.", status_code=502
        )
    handed = StreamingResponse(
        answer.aiter_raw(),
        status_code=answer.status_code,
        background=BackgroundTask(answer.aclose),
    )
    handed.raw_headers = [
        (k.lower(), v)
        for k, v in answer.headers.raw
        if k.lower().decode() not in _HOP_BY_HOP
    ]
    return handed
