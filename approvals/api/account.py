"""The caller's own account over HTTP: sessions and password."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from keyturn.approvals.api.fields import PathId
from keyturn.approvals.api.pages import Page, Paged, page
from keyturn.approvals.api.replies import BODY, ONE, problems
from keyturn.approvals.auth import accounts, browser
from keyturn.approvals.auth.accounts import LONGEST_PASSWORD
from keyturn.approvals.auth.passwords import SHORTEST
from keyturn.approvals.auth.visitor import require
from keyturn.approvals.web import routing
from keyturn.approvals.web.dependencies import StoreDep
from keyturn.approvals.web.errors import WrongPassword
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.errors import InvalidValue
from keyturn.orchestrator.store.people import sessions

router = routing.of_api("me")

Own = Annotated[Person, Depends(require("account.own"))]


class Session(BaseModel):
    """A signed-in browser; `is_this` marks the session that sent the request."""

    model_config = ConfigDict(frozen=True)

    id: str
    method: str = Field(description="`password` or `oidc`")
    address: str
    browser: str
    created_at: datetime
    seen_at: datetime
    ends_at: datetime
    is_this: bool


class Ended(BaseModel):
    """The numbers of ended sessions and revoked tokens."""

    model_config = ConfigDict(frozen=True)

    ended: int
    tokens: int = Field(default=0, description="The number of tokens revoked with them")


class ChangePassword(BaseModel):
    """The current password and a new one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    old: Annotated[str, StringConstraints(max_length=LONGEST_PASSWORD)]
    new: Annotated[
        str, StringConstraints(min_length=SHORTEST, max_length=LONGEST_PASSWORD)
    ]


@router.get("/me/sessions")
async def list_sessions(
    person: Own, store: StoreDep, wanted: Annotated[Paged, Query()]
) -> Page[Session]:
    """List your sessions, the latest sign-in first."""
    rows = sorted(
        await sessions.listing(store, person.id), key=lambda row: row.id, reverse=True
    )
    behind = [one for one in rows if wanted.cursor is None or one.id < wanted.cursor]
    fields = set(Session.model_fields) - {"is_this"}
    items = [
        Session(**row.model_dump(include=fields), is_this=row.id == person.session)
        for row in behind[: wanted.one_more]
    ]
    return page(items, wanted, lambda one: one.id)


@router.post("/me/sessions:end")
async def end_others(request: Request, person: Own, store: StoreDep) -> Ended:
    """End all your other sessions, and revoke all your tokens.

    If a token sends this, all sessions end, and that token is revoked too.
    """
    done = await sessions.end_all(
        store, person.id, but=person.session, origin=browser.origin(request)
    )
    return Ended(ended=done.sessions, tokens=done.tokens)


@router.delete("/me/sessions/{id}", responses=ONE)
async def end_session(id: PathId, person: Own, store: StoreDep) -> Ended:  # noqa: A002 the path's name
    """End one of your sessions."""
    await sessions.end(store, id, by=person.id)
    return Ended(ended=1)


# Not kept under an `Idempotency-Key`: a digest of the body could be guessed at.
@router.post("/me:password", responses={**BODY, **problems(429)})
async def change_password(
    request: Request, wanted: ChangePassword, person: Own, store: StoreDep
) -> Page[Session]:
    """Change your password and end all your other sessions; return the open ones.

    All your tokens are revoked, including the one that sends this.

    422 if `old` is wrong; 429 after eight wrong passwords.
    """
    try:
        await accounts.change_own_password(
            store,
            person.id,
            old=wanted.old,
            new=wanted.new,
            session_id=person.session,
            origin=browser.origin(request),
        )
    except WrongPassword as error:
        # Reported as an invalid field: the caller is signed in, so 401 would mislead.
        raise InvalidValue(f"old: {error}") from error
    return await list_sessions(person, store, Paged())
