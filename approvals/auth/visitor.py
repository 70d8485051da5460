"""The sender of a request, from its session or token, never from a body (P8)."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer

from keyturn.approvals.auth import cookies, permissions
from keyturn.approvals.auth.liveness import Credential
from keyturn.approvals.auth.permissions import Action
from keyturn.approvals.web.dependencies import Parts, PartsDep, parts_of
from keyturn.approvals.web.errors import Forged, MayNot, NotSignedIn
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.store.people import sessions, tokens
from keyturn.orchestrator.store.people.errors import OpensNothing
from keyturn.orchestrator.store.people.token_lifetime import EVERYTHING
from keyturn.orchestrator.store.tables import PersonRow, TokenRow

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
TENANT_HEADER = "Keyturn-Tenant"
# No tenant has an empty name.
NOBODYS = ""
CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf"

# For OpenAPI: `visitor` distinguishes and checks both.
_bearer = HTTPBearer(
    auto_error=False, scheme_name="token", description="An API token of yours: `kt_…`"
)
_cookie = APIKeyCookie(
    name="keyturn",
    auto_error=False,
    scheme_name="session",
    description=f"The page's cookie; unsafe methods send `{CSRF_HEADER}` as well",
)


@dataclass(frozen=True)
class Visitor:
    """A person with their credential: a session with its `csrf`, or a `token`.

    `home` is their account's tenant, which a service's token may narrow.
    """

    person: Person
    email: str
    csrf: str | None
    token: str | None = None
    home: str | None = None

    @property
    def credential(self) -> Credential:
        """Return the credential, for streams that outlive this request."""
        return Credential(
            id=self.person.session,
            is_token=self.token is not None,
            role=self.person.role,
            kind=self.person.kind,
            tenant=self.home,
        )


async def visitor(
    request: Request,
    parts: PartsDep,
    _token: Annotated[object, Security(_bearer)] = None,
    _session: Annotated[object, Security(_cookie)] = None,
) -> Visitor:
    """Return the signed-in person, or raise `NotSignedIn` or `Forged`.

    A token in `Authorization` takes precedence; else the session's cookie counts, and
    every method that changes something also needs the page's CSRF token. The result is
    cached per request: the gate calls this first, the route's dependencies again.
    """
    known: Visitor | None = getattr(request.state, "visitor", None)
    if known is None:
        known = request.state.visitor = await _recognised(request, parts)
    return known


async def _recognised(request: Request, parts: Parts) -> Visitor:
    if "authorization" in request.headers:
        return await _by_token(request, parts)
    found = await _by_cookie(request, parts)
    if request.method not in SAFE:
        await _refuse_forged(request, found)
    return found


async def maybe_visitor(request: Request, parts: PartsDep) -> Visitor | None:
    """Return the signed-in person, or None; for pages that everybody may see."""
    try:
        return await visitor(request, parts)
    except NotSignedIn:
        return None


async def current_person(found: Annotated[Visitor, Depends(visitor)]) -> Person:
    """Return the signed-in person, as a decision records them."""
    return found.person


def require(action: Action) -> Callable[[Person], Person]:
    """Return a dependency that yields the person if their role permits `action`."""

    def allowed(person: CurrentPerson) -> Person:
        permissions.check(person, action)
        return person

    return allowed


SignedIn = Annotated[Visitor, Depends(visitor)]
MaybeSignedIn = Annotated[Visitor | None, Depends(maybe_visitor)]
CurrentPerson = Annotated[Person, Depends(current_person)]


def refuse_other_origin(request: Request) -> None:
    """Raise `Forged` if the browser says that another site sent this."""
    origin = request.headers.get("origin")
    if origin is None or origin == "null":
        site = request.headers.get("sec-fetch-site")
        is_ours = origin is None and site in (None, "same-origin", "none")
    else:
        is_ours = _is_here(origin, request)
    if not is_ours:
        raise Forged(
            "Another site sent this request. Open the page on this site and repeat it."
        )


def _is_here(origin: str, request: Request) -> bool:
    """Tell whether a page of this server sent it; over https, not one of http."""
    try:
        sender = urlsplit(origin)
    except ValueError:  # no browser sends this: a malformed URL such as `http://[`
        return False
    if sender.scheme != "https" and cookies.is_secure(parts_of(request)):
        return False
    return sender.netloc == request.headers.get("host")


def credential(request: Request, parts: Parts) -> str | None:
    """Return the token or the session's cookie that was sent."""
    if "authorization" in request.headers:
        return _bearers(request)
    return cookies.read(request, parts)


def _bearers(request: Request) -> str | None:
    scheme, _, plain = request.headers["authorization"].partition(" ")
    return plain.strip() if scheme.lower() == "bearer" else None


async def _by_token(request: Request, parts: Parts) -> Visitor:
    plain = _bearers(request)
    if plain is None:
        raise NotSignedIn(tokens.UNKNOWN)
    try:
        person, row = await tokens.use(parts.store, plain)
    except OpensNothing as error:
        raise NotSignedIn(str(error)) from None
    scopes = None if EVERYTHING in row.scopes else tuple(row.scopes)
    known = _person(person, session=row.id, scopes=scopes)
    if person.kind == "service":
        known = _bound(known, row, request.headers.get(TENANT_HEADER))
    return Visitor(
        known, email=person.email, csrf=None, token=row.id, home=person.tenant
    )


def _bound(service: Person, row: TokenRow, wanted: str | None) -> Person:
    """Return a service bound to one tenant of its token.

    If the token has several, the header chooses; without it, it sees no objects.
    """
    own = tuple(one for one in row.tenants if service.tenant in (None, one))
    if wanted is not None and wanted not in own:
        raise MayNot(
            f"This token is bound to {', '.join(own) or 'no tenant'}, but {TENANT_HEADER} "
            f"names {wanted!r}. Name a tenant of the token."
        )
    seen = wanted if wanted is not None else own[0] if len(own) == 1 else NOBODYS
    return service.model_copy(update={"tenant": seen, "tenants": own})


async def _by_cookie(request: Request, parts: Parts) -> Visitor:
    cookie = cookies.read(request, parts)
    unasked: bool = getattr(request.state, "unasked", False)
    found = (
        await sessions.find(parts.store, cookie, unasked=unasked) if cookie else None
    )
    if found is None:
        raise NotSignedIn(
            "Nobody is signed in: sign in at /sign-in, or send a token as "
            "`Authorization: Bearer kt_…`."
        )
    if found.cookie is not None:
        cookies.give(request, found.cookie)
    return Visitor(
        _person(found.person, session=found.row.id),
        email=found.person.email,
        csrf=found.row.csrf,
        home=found.person.tenant,
    )


async def _refuse_forged(request: Request, found: Visitor) -> None:
    refuse_other_origin(request)
    sent = request.headers.get(CSRF_HEADER) or await _form_token(request)
    right = found.csrf or ""
    if not secrets.compare_digest(sent.encode(), right.encode()):
        raise Forged(
            f"The page's CSRF token is missing or old. Reload the page and repeat, or send "
            f"the token as {CSRF_HEADER}."
        )


async def _form_token(request: Request) -> str:
    kind = request.headers.get("content-type", "")
    if not kind.startswith(
        ("application/x-www-form-urlencoded", "multipart/form-data")
    ):
        return ""
    value = (await request.form()).get(CSRF_FIELD)
    return value if isinstance(value, str) else ""


def _person(
    row: PersonRow, *, session: str, scopes: tuple[str, ...] | None = None
) -> Person:
    return Person(
        id=row.id,
        name=row.name,
        role=row.role,
        kind=row.kind,
        tenant=row.tenant,
        email=row.email,
        approves_from=row.approves_from,
        teams=tuple(row.teams),
        languages=tuple(row.languages),
        scopes=scopes,
        session=session,
    )
