"""API tokens over HTTP: one's own, and those of services for whoever manages people."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from approvals import routing
from approvals.api.paging import Page, Paged, page
from approvals.api.replies import BODY, ONE
from approvals.api.text import Line, PathId
from approvals.auth import permissions
from approvals.auth.permissions import Action
from approvals.auth.visitor import SignedIn, require
from approvals.dependencies import StoreDep
from approvals.errors import MayNot
from orchestrator.store import people, tokens
from orchestrator.store.approvals import Person
from orchestrator.store.engine import Store
from orchestrator.store.tables import TokenRow
from orchestrator.store.tokens import Issued, NewToken

router = routing.of_api("tokens")

Own = Annotated[Person, Depends(require("account.own"))]
Manager = Annotated[Person, Depends(require("people.manage"))]
LONGEST_DAYS = 365


class MakeToken(BaseModel):
    """A token to make: what for, what it may do, and when it ends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[Line, Field(max_length=100)]
    scopes: list[Action] = Field(
        default_factory=lambda: ["read"],
        min_length=1,
        max_length=50,
        description="Actions of the permission table: `may` of `GET /me` lists yours",
    )
    tenants: list[Line] = Field(
        default_factory=list[Line],
        max_length=200,
        description="Of a service: those it starts runs for; needed where it has several",
    )
    days: int = Field(
        default=30, ge=1, le=LONGEST_DAYS, strict=True, description="Ends after these"
    )


class Token(BaseModel):
    """A token without its secret; `*` among the scopes is all that its owner may do."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    scopes: list[str]
    tenants: list[str] = Field(description="Those a service's token starts runs for")
    made_with: str | None = Field(description="The token that made it, if one did")
    created_at: datetime
    used_at: datetime | None
    ends_at: datetime | None
    revoked_at: datetime | None


class TokenWithSecret(Token):
    """A new token with its secret, this once."""

    secret: str = Field(description="`kt_…`")


@router.get("/me/tokens")
async def list_own_tokens(
    person: Own, store: StoreDep, wanted: Annotated[Paged, Query()]
) -> Page[Token]:
    """List your tokens, newest first."""
    return await _list(store, person.id, wanted)


# These answers hold a secret, so they are not kept under an `Idempotency-Key`.
@router.post("/me/tokens", status_code=201, responses={**BODY, **ONE})
async def make_own_token(
    wanted: MakeToken, person: Own, visitor: SignedIn, store: StoreDep
) -> TokenWithSecret:
    """Make a token that acts as you; it is in this answer and nowhere else.

    403 where you may not do what it asks for; where a token asks, also for what that
    token may not do, and for a life longer than its own.
    """
    return await make(store, person, wanted, by=person, made_with=visitor.token)


@router.delete("/me/tokens/{id}", responses=ONE)
async def revoke_own_token(id: PathId, person: Own, store: StoreDep) -> Token:  # noqa: A002 the path's name
    """Revoke one of your tokens, and those that were made with it."""
    return _body(await tokens.revoke(store, id, by=person.id, person=person.id))


@router.get("/people/{id}/tokens", responses=ONE)
async def list_tokens(
    id: PathId,  # noqa: A002 the path's name
    manager: Manager,
    store: StoreDep,
    wanted: Annotated[Paged, Query()],
) -> Page[Token]:
    """List somebody's tokens, newest first."""
    return await _list(store, (await managed(store, id, manager)).id, wanted)


@router.post("/people/{id}/tokens", status_code=201, responses={**BODY, **ONE})
async def make_service_token(
    id: PathId,  # noqa: A002 the path's name
    wanted: MakeToken,
    manager: Manager,
    visitor: SignedIn,
    store: StoreDep,
) -> TokenWithSecret:
    """Make a token for a service; it decides nothing. People make their own.

    Where a token asks, the new one is revoked with it.
    """
    owner = await managed(store, id, manager)
    return await make(store, owner, wanted, by=manager, made_with=visitor.token)


@router.delete("/people/{id}/tokens/{token}", responses=ONE)
async def revoke_token(
    id: PathId,  # noqa: A002 the path's name
    token: PathId,
    manager: Manager,
    store: StoreDep,
) -> Token:
    """Revoke somebody's token, and those that were made with it."""
    owner = await managed(store, id, manager)
    return _body(await tokens.revoke(store, token, by=manager.id, person=owner.id))


async def make(
    store: Store, owner: Person, wanted: MakeToken, *, by: Person, made_with: str | None
) -> TokenWithSecret:
    """Make a token for its owner; raises `MayNot` or `WiderThanItsToken`."""
    if owner.id != by.id and owner.kind != "service":
        raise MayNot(
            f"{owner.name} is a person: nobody else makes tokens that act as them. Open "
            "an account for a service, or let them make one at /settings."
        )
    _refuse_beyond_role(owner, wanted.scopes)
    new = NewToken(
        name=wanted.name,
        scopes=tuple(dict.fromkeys(wanted.scopes)),
        tenants=tuple(wanted.tenants),
        ends_in=timedelta(days=wanted.days),
    )
    made = await tokens.issue(store, owner.id, new, by=by.id, made_with=made_with)
    return _with_secret(made)


async def managed(store: Store, person: str, manager: Person) -> Person:
    """Return one of the people that this person manages, or raise `NotFound`."""
    async with store.read() as session:
        row = await people.get(session, person, tenant=manager.tenant)
    return Person(id=row.id, name=row.name, role=row.role, kind=row.kind, session="")


def _refuse_beyond_role(owner: Person, scopes: list[Action]) -> None:
    """Raise `MayNot` where a token would be made for what its owner may not do.

    It would do nothing today, and wait for the day that its owner has another role.
    """
    granted = permissions.granted(owner)
    beyond = [scope for scope in scopes if scope not in granted]
    if beyond:
        raise MayNot(
            f"{owner.name} may not do {', '.join(beyond)}, so no token of theirs does; "
            f"choose from {', '.join(granted)}."
        )


async def _list(store: Store, person: str, wanted: Paged) -> Page[Token]:
    async with store.read() as session:
        rows = await tokens.listing(
            session, person, limit=wanted.one_more, before=wanted.cursor
        )
    return page([_body(row) for row in rows], wanted, lambda one: one.id)


def _body(row: TokenRow) -> Token:
    return Token(
        **row.model_dump(exclude={"person", "hash", "parent"}), made_with=row.parent
    )


def _with_secret(made: Issued) -> TokenWithSecret:
    return TokenWithSecret(**_body(made.row).model_dump(), secret=made.plain)
