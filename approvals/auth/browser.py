"""The browser that somebody signs in with: where it is, and whether it did before."""

import hmac
import secrets
from ipaddress import IPv6Address, ip_address

from fastapi import Request, Response

from approvals.auth import cookies
from approvals.dependencies import Parts
from orchestrator.store import attempts
from orchestrator.store.tables import PersonRow

# Within five minutes, for one account from one address; from one address; and for one
# account from everywhere, which bounds a guess that is spread over many addresses.
ALLOWED_A_PAIR = 8
ALLOWED_AN_ADDRESS = 100
ALLOWED_AN_ACCOUNT = 100
REMEMBERED_S = 180 * 24 * 3600


def address(request: Request) -> str:
    """Return where a request comes from; of IPv6 the network that one customer has."""
    host = request.client.host if request.client else "unknown"
    try:
        found = ip_address(host)
    except ValueError:
        return host
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return f"{IPv6Address(int(found) >> 64 << 64)}/64"
    return host


def limits(
    request: Request, parts: Parts, email: str, row: PersonRow | None
) -> tuple[dict[str, int], str]:
    """Return how many attempts which keys have, and the key of who is asking.

    A browser that signed in to this account before is counted for itself alone: no
    stranger's guesses lock it out, from next door or from all over the world.
    """
    known = _known(request, parts, row)
    if known is not None:
        own = attempts.key("browser", known)
        return {own: ALLOWED_A_PAIR}, own
    account, host = email.strip().lower(), address(request)
    own = attempts.key("pair", account, host)
    everyone = {
        attempts.key("account", account): ALLOWED_AN_ACCOUNT,
        attempts.key("address", host): ALLOWED_AN_ADDRESS,
    }
    return {own: ALLOWED_A_PAIR, **everyone}, own


def remember(response: Response, parts: Parts, row: PersonRow) -> None:
    """Let the browser show from now on that it signed in to this account."""
    if row.password_hash is None:
        return
    number = secrets.token_urlsafe(12)
    response.set_cookie(
        _name(parts),
        f"{number}.{_seal(row.password_hash, row.id, number)}",
        max_age=REMEMBERED_S,
        path="/",
        secure=cookies.is_secure(parts),
        httponly=True,
        samesite="lax",
    )


def _known(request: Request, parts: Parts, row: PersonRow | None) -> str | None:
    sent = request.cookies.get(_name(parts), "")
    if row is None or row.password_hash is None:
        return None
    number, _, seal = sent.partition(".")
    right = _seal(row.password_hash, row.id, number)
    same = hmac.compare_digest(seal.encode(errors="replace"), right.encode())
    return number if same else None


def _seal(password_hash: str, person: str, number: str) -> str:
    """Return what only this server makes: it alone has the hash, which has a salt."""
    text = f"browser\n{person}\n{number}".encode(errors="replace")
    return hmac.digest(password_hash.encode(), text, "sha256").hex()


def _name(parts: Parts) -> str:
    return f"{cookies.name(parts)}-browser"
