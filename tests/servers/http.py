"""Asking a server of ours over plain HTTP, as often as it takes."""

import ssl

import httpx2

# A client of its own for each request would load the certificates of all authorities,
# 50 ms of processor time that whatever is being waited for could use.
_PLAIN = httpx2.Client(
    verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    # Servers are stopped and killed: no connection is kept for the next request.
    limits=httpx2.Limits(max_keepalive_connections=0),
)


def get(
    url: str,
    *,
    timeout: float,
    params: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> httpx2.Response:
    """Return the server's answer; raises `httpx2.HTTPError` where there is none."""
    return _PLAIN.get(url, timeout=timeout, params=params, headers=headers)
