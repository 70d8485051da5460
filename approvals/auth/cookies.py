"""The session's cookie."""

from fastapi import Request, Response

from approvals.dependencies import Parts
from orchestrator.store.sessions import LONGEST


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


def clear(response: Response, parts: Parts) -> None:
    """Take the cookie back."""
    response.delete_cookie(
        name(parts), path="/", secure=is_secure(parts), httponly=True, samesite="lax"
    )
