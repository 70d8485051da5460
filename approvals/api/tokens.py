"""API tokens over HTTP: your own, and services' tokens for admins."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from keyturn.approvals.api.fields import Line, PathId
from keyturn.approvals.api.pages import Page, Paged, page
from keyturn.approvals.api.replies import BODY, ONE, problems
from keyturn.approvals.auth import browser, permissions, reauthentication
from keyturn.approvals.auth.accounts import LONGEST_PASSWORD
from keyturn.approvals.auth.permissions import Action
from keyturn.approvals.auth.visitor import SignedIn, Visitor, require
from keyturn.approvals.web import routing
from keyturn.approvals.web.dependencies import Parts, PartsDep, StoreDep
from keyturn.approvals.web.errors import MayNot
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import accounts, token_lifetime, tokens
from keyturn.orchestrator.store.people.tokens import NewToken
from keyturn.orchestrator.store.tables import TokenRow

router = routing.of_api("tokens")

Own = Annotated[Person, Depends(require("account.own"))]
Manager = Annotated[Person, Depends(require("people.manage"))]
LONGEST_DAYS = 365
USUAL_DAYS = 30


@dataclass(frozen=True)
class Asker:
    """The person who requests a token, and the HTTP request that authenticates them."""

    request: Request
    parts: Parts
    visitor: Visitor


def _asker(request: Request, parts: PartsDep, visitor: SignedIn) -> Asker:
    return Asker(request, parts, visitor)


AskerDep = Annotated[Asker, Depends(_asker)]


class MakeToken(BaseModel):
    """A token to make: its name, permissions and lifetime."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[Line, Field(max_length=100)]
    scopes: list[Action] = Field(
        default_factory=lambda: ["read"],
        min_length=1,
        max_length=50,
        description="Permissions; `may` of `GET /me` lists yours",
    )
    tenants: list[Line] = Field(
        default_factory=list[Line],
        max_length=200,
        description="For a service: the tenants it starts runs for; required if it has several",
    )
    days: int | None = Field(
        default=None,
        ge=1,
        le=LONGEST_DAYS,
        strict=True,
        description="Days until it expires: by default 30; for a token that may decide, "
        "7, which is also its maximum",
    )
    password: Annotated[str, Field(max_length=LONGEST_PASSWORD)] | None = Field(
        default=None,
        repr=False,
        description="Your password; required if a session sends this",
    )


class Token(BaseModel):
    """A token without its secret; the scope `*` means everything its owner may do.

    A token that may decide expires at most 7 days after it was made.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    scopes: list[str]
    tenants: list[str] = Field(
        description="The tenants that a service's token starts runs for"
    )
    made_with: str | None = Field(
        description="The token that was used to make it, if any"
    )
    created_at: datetime
    used_at: datetime | None
    ends_at: datetime | None
    revoked_at: datetime | None
    decides: bool = Field(description="Whether some of its scopes can decide something")


class TokenWithSecret(Token):
    """A new token with its secret, which is shown only once."""

    secret: str = Field(description="`kt_…`")


@router.get("/me/tokens")
async def list_own_tokens(
    person: Own, store: StoreDep, wanted: Annotated[Paged, Query()]
) -> Page[Token]:
    """List your tokens, newest first."""
    return await _list(store, person, wanted)


# These answers hold a secret, so they are not kept under an `Idempotency-Key`.
@router.post("/me/tokens", status_code=201, responses={**BODY, **ONE, **problems(429)})
async def make_own_token(
    wanted: MakeToken, asker: AskerDep, person: Own
) -> TokenWithSecret:
    """Make a token that acts as you; its secret is only in this response.

    With a session, send your `password`, or sign in again at the OpenID provider
    (`POST /settings/confirm` in the browser) within the five minutes before: 422 if
    the password is wrong, 403 `not-fresh` if there is neither, 429 after eight wrong
    passwords.

    403 for scopes that you do not have. With a token, also 403 for scopes that this
    token does not have, for a longer lifetime than its own, and for scopes that can
    decide.
    """
    return await make(asker, person, wanted)


@router.delete("/me/tokens/{id}", responses=ONE)
async def revoke_own_token(id: PathId, person: Own, store: StoreDep) -> Token:  # noqa: A002 the path's name
    """Revoke one of your tokens, and the tokens that were made with it."""
    row = await tokens.revoke(store, id, by=person.id, person=person.id)
    return body(row, kind=person.kind)


@router.get("/people/{id}/tokens", responses=ONE)
async def list_tokens(
    id: PathId,  # noqa: A002 the path's name
    manager: Manager,
    store: StoreDep,
    wanted: Annotated[Paged, Query()],
) -> Page[Token]:
    """List an account's tokens, newest first."""
    return await _list(store, await managed(store, id, manager), wanted)


@router.post(
    "/people/{id}/tokens", status_code=201, responses={**BODY, **ONE, **problems(429)}
)
async def make_service_token(
    id: PathId,  # noqa: A002 the path's name
    wanted: MakeToken,
    asker: AskerDep,
    manager: Manager,
    store: StoreDep,
) -> TokenWithSecret:
    """Make a token for a service; it cannot decide anything. People make their own.

    With a session, send your password, as for your own tokens. With a token, the new
    one is revoked with it, lives no longer and has no other scopes.
    """
    owner = await managed(store, id, manager)
    return await make(asker, owner, wanted)


@router.delete("/people/{id}/tokens/{token}", responses=ONE)
async def revoke_token(
    id: PathId,  # noqa: A002 the path's name
    token: PathId,
    manager: Manager,
    store: StoreDep,
) -> Token:
    """Revoke an account's token, and the tokens that were made with it."""
    owner = await managed(store, id, manager)
    row = await tokens.revoke(store, token, by=manager.id, person=owner.id)
    return body(row, kind=owner.kind)


async def make(asker: Asker, owner: Person, wanted: MakeToken) -> TokenWithSecret:
    """Make a token for its owner, after the requesting person is authenticated.

    Raises `MayNot`, `WiderThanItsToken`, `InvalidValue`, `TooManyAttempts`, `NotFresh`
    or `AccountChanged`.
    """
    by = asker.visitor.person
    if owner.id != by.id and owner.kind != "service":
        raise MayNot(
            f"{owner.name} is a person, and only they can make tokens that act as them. "
            "They do so at /settings; for a program, open an account for a service."
        )
    _refuse_beyond_role(owner, wanted.scopes)
    new = NewToken(
        name=wanted.name,
        scopes=tuple(dict.fromkeys(wanted.scopes)),
        tenants=tuple(wanted.tenants),
        ends_in=timedelta(days=wanted.days or _usual_days(owner, wanted.scopes)),
        origin=browser.origin(asker.request),
    )
    # Refused before a fresh sign-in is consumed.
    tokens.check_life(new, kind=owner.kind)
    proven = await reauthentication.require(
        asker.request, asker.parts, asker.visitor, password=wanted.password
    )
    made = await tokens.issue(
        asker.parts.store,
        owner.id,
        new,
        tokens.Maker(by.id, made_with=asker.visitor.token, proven=proven),
    )
    return TokenWithSecret(
        **body(made.row, kind=owner.kind).model_dump(), secret=made.plain
    )


def body(row: TokenRow, *, kind: str) -> Token:
    """Return a token as it is shown; `kind` is its owner's."""
    fields = row.model_dump(exclude={"person", "hash", "parent", "ends_at"})
    return Token(
        **fields,
        made_with=row.parent,
        ends_at=token_lifetime.ends_at(row, kind=kind),
        decides=bool(token_lifetime.deciding(row.scopes, kind=kind)),
    )


def _usual_days(owner: Person, scopes: list[Action]) -> int:
    decides = token_lifetime.deciding(scopes, kind=owner.kind)
    return token_lifetime.MOST_DAYS_DECIDING if decides else USUAL_DAYS


async def managed(store: Store, person: str, manager: Person) -> Person:
    """Return one of the people that this person manages, or raise `NotFound`."""
    async with store.read() as session:
        row = await accounts.get(session, person, tenant=manager.tenant)
    return Person(id=row.id, name=row.name, role=row.role, kind=row.kind, session="")


def _refuse_beyond_role(owner: Person, scopes: list[Action]) -> None:
    """Raise `MayNot` if the scopes exceed the owner's permissions.

    Such a scope would have no effect now, and take effect when the owner's role changes.
    """
    granted = permissions.granted(owner)
    beyond = [scope for scope in scopes if scope not in granted]
    if beyond:
        raise MayNot(
            f"{owner.name} may not do {', '.join(beyond)}, so their tokens cannot do it. "
            f"Choose from {', '.join(granted)}."
        )


async def _list(store: Store, owner: Person, wanted: Paged) -> Page[Token]:
    async with store.read() as session:
        rows = await tokens.listing(
            session, owner.id, limit=wanted.one_more, before=wanted.cursor
        )
    items = [body(row, kind=owner.kind) for row in rows]
    return page(items, wanted, lambda one: one.id)
