"""Re-authentication: a credential that outlives a session takes more than a session.

A copied session cookie comes with neither the password nor a sign-in at the provider,
so it cannot create a credential that outlives the session.
"""

import json
from datetime import datetime, timedelta

from fastapi import Request, Response

from keyturn.approvals.auth import accounts, cookies
from keyturn.approvals.auth.visitor import Visitor
from keyturn.approvals.web.dependencies import Parts
from keyturn.approvals.web.errors import NotFresh, WrongPassword
from keyturn.orchestrator.rules.errors import InvalidValue
from keyturn.orchestrator.store.db import form_results
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people.tokens import Proven
from keyturn.orchestrator.store.tables import PersonRow

# How long a sign-in at the provider counts as fresh.
FRESH_FOR = timedelta(minutes=5)
_KIND = "a fresh sign-in"
WRONG = (
    "password: it is wrong; no token was made. Give the password that you sign in with"
)
GIVE_PASSWORD = "password: give the password that you sign in with"  # noqa: S105 a message, not a password


async def require(
    request: Request, parts: Parts, visitor: Visitor, *, password: str | None
) -> Proven | None:
    """Return what the calling session has just proven; None if a token calls.

    Raises `InvalidValue` for a wrong password, `TooManyAttempts`, or `NotFresh` where
    neither a password nor a fresh sign-in comes with the request. A fresh sign-in is
    good for one request.
    """
    if visitor.token is not None:
        return None
    person, session = visitor.person.id, visitor.person.session
    if password:
        try:
            row = await accounts.prove_password(parts.store, person, password)
        except WrongPassword as error:
            # Reported as an invalid field: the caller is signed in.
            raise InvalidValue(WRONG) from error
        return Proven(person, session, row.password_hash, "password")
    async with parts.store.read() as reading:
        row = await person_accounts.get(reading, person)
    if await _is_fresh(request, parts, visitor):
        return Proven(person, session, row.password_hash, "oidc")
    raise NotFresh(_words(row))


async def keep_fresh(
    response: Response, parts: Parts, visitor: Visitor, *, at: datetime
) -> None:
    """Give this browser a single-use proof that its person signed in again at `at`.

    The proof is a separate cookie: a copy of the session's cookie does not contain it.
    """
    text = json.dumps([visitor.person.session, at.isoformat()])
    result, opener = await form_results.seal(
        parts.store, person=visitor.person.id, kind=_KIND, secret=text
    )
    _write(response, parts, f"{result}.{opener}", seconds=FRESH_FOR.total_seconds())


def seems_fresh(request: Request, parts: Parts) -> bool:
    """Tell, for display only, whether the browser claims a fresh sign-in."""
    return bool(request.cookies.get(_name(parts)))


async def is_recent(store: Store, at: datetime | None) -> bool:
    """Tell whether the sign-in at the provider was in the last five minutes.

    Allows for a provider's clock that is a minute ahead of ours.
    """
    async with store.read() as session:
        now = await session.read_clock()
    return at is not None and now - FRESH_FOR <= at <= now + timedelta(minutes=1)


async def _is_fresh(request: Request, parts: Parts, visitor: Visitor) -> bool:
    result, _, opener = request.cookies.get(_name(parts), "").partition(".")
    if not opener:
        return False
    found = await form_results.open_once(
        parts.store,
        person=visitor.person.id,
        kind=_KIND,
        result=result,
        opener=opener,
    )
    if found is None:
        return False
    session, at = json.loads(found)
    is_own = session == visitor.person.session
    return is_own and await is_recent(parts.store, datetime.fromisoformat(at))


def _words(row: PersonRow) -> str:
    if row.password_hash is not None:
        return f"{GIVE_PASSWORD}; being signed in is not enough for this."
    if row.oidc_issuer is not None:
        return (
            f"Sign in again at {row.oidc_issuer} first: press “Sign in again” at "
            "/settings, then send this within five minutes. Being signed in is not enough "
            "for this, and each sign-in is good for one such request."
        )
    return (
        "Your account has neither a password nor a sign-in service to prove that it is "
        "you. Ask an admin for a password, or ask the person who runs the server to run "
        "`keyturn user token`."
    )


def forget(response: Response, parts: Parts) -> None:
    """Delete the proof of a fresh sign-in: it has been used."""
    _write(response, parts, "", seconds=0)


def _write(response: Response, parts: Parts, value: str, *, seconds: float) -> None:
    response.set_cookie(
        _name(parts),
        value,
        max_age=int(seconds),
        path="/",
        secure=cookies.is_secure(parts),
        httponly=True,
        samesite="lax",
    )


def _name(parts: Parts) -> str:
    return f"{cookies.name(parts)}-fresh"
