"""The browser of a sign-in: its address, and whether it signed in before."""

import hmac
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from ipaddress import IPv6Address, ip_address

from fastapi import Request, Response

from keyturn.approvals.auth import cookies
from keyturn.approvals.web.dependencies import Parts
from keyturn.orchestrator.rules.notice import Origin
from keyturn.orchestrator.store.people import sign_in_throttle
from keyturn.orchestrator.store.people.sign_in_throttle import Pace
from keyturn.orchestrator.store.tables import PersonRow

# Attempts in five minutes by a browser that signed in to the account before.
ALLOWED_KNOWN = 8
# Other browsers: per account and address; per account; per address.
PAIR = Pace(free=4, gaps_s=(1, 2, 4, 8, 10), in_turn=True)
ACCOUNT = Pace(free=10, gaps_s=(1, 2, 4, 6), in_turn=True)
# Not in turn: a guesser must not hold up other people at the same address.
ADDRESS = Pace(free=20, gaps_s=(*range(1, 11),), in_turn=False)
REMEMBERED_S = 180 * 24 * 3600


def address(request: Request) -> str:
    """Return a request's address; for IPv6, the network of one customer."""
    host = request.client.host if request.client else "unknown"
    try:
        found = ip_address(host)
    except ValueError:
        return host
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return f"{IPv6Address(int(found) >> 64 << 64)}/64"
    return host


def origin(request: Request) -> Origin:
    """Return a request's origin, as shown to the owner of the account."""
    agent = request.headers.get("user-agent", "")
    return Origin(address=address(request)[:100], browser=agent[:300])


@asynccontextmanager
async def counted(
    request: Request, parts: Parts, email: str, row: PersonRow | None
) -> AsyncGenerator[tuple[list[int], str]]:
    """Yield an attempt's rows and its own key once its password may be checked.

    A browser that signed in to this account before has a count of its own and never
    waits: strangers' guesses, from any number of addresses, neither lock it out nor
    slow it down. It has 8 attempts within five minutes.

    Any other browser waits up to ten seconds, the longer the more attempts there were
    within five minutes for this account, here and everywhere, and from this address.
    Raises `TooManyAttempts` where others wait before it.

    Guesses at one account, by anybody and from any number of addresses: in any five
    minutes 10 go at once, 3 more within 7 s (gaps of 1, 2 and 4 s), and then one in 6 s,
    (300 - 7) / 6 < 49: at most 62. A day has 288 times five minutes: at most
    288 * 62 = 17,856 guesses. From one address alone 4 go at once, 4 more within 15 s
    (1, 2, 4 and 8 s), then one in 10 s, (300 - 15) / 10 < 29: at most 37 in five minutes,
    10,656 a day. To these, each known browser of that account adds 288 * 8 = 2,304.
    """
    known = _known(request, parts, row)
    if known is not None:
        own = sign_in_throttle.key("browser", known)
        yield await sign_in_throttle.take(parts.store, {own: ALLOWED_KNOWN}), own
        return
    account, host = email.strip().lower(), address(request)
    own = sign_in_throttle.key("pair", account, host)
    paces = {own: PAIR, sign_in_throttle.key("account", account): ACCOUNT}
    async with _slowed(request, parts, paces) as taken:
        yield taken, own


@asynccontextmanager
async def counted_here(request: Request, parts: Parts) -> AsyncGenerator[list[int]]:
    """Yield an attempt's rows after the delay that its address has earned."""
    async with _slowed(request, parts, {}) as taken:
        yield taken


@asynccontextmanager
async def _slowed(
    request: Request, parts: Parts, paces: Mapping[str, Pace]
) -> AsyncGenerator[list[int]]:
    host = address(request)
    # Take a place first: an attempt without one is not counted and delays nobody.
    with parts.waiting.place(host):
        here = {sign_in_throttle.key("address", host): ADDRESS}
        turn = await sign_in_throttle.queue(parts.store, {**paces, **here})
        await parts.waiting.wait(turn.wait_s)
        yield turn.taken


def remember(response: Response, parts: Parts, row: PersonRow) -> None:
    """Give the browser a proof that it signed in to this account."""
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
    """Return a seal that only this server can make: it alone has the salted hash."""
    text = f"browser\n{person}\n{number}".encode(errors="replace")
    return hmac.digest(password_hash.encode(), text, "sha256").hex()


def _name(parts: Parts) -> str:
    return f"{cookies.name(parts)}-browser"
