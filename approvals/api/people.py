"""The signed-in person, and all accounts for those who manage people."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from keyturn.approvals.api import proposals as proposal_body
from keyturn.approvals.api.fields import Line, PathId, Reason
from keyturn.approvals.api.idempotency import ONCE
from keyturn.approvals.api.pages import Page, Paged, page
from keyturn.approvals.api.proposals import Proposal
from keyturn.approvals.api.replies import BODY, ONE, STATE, Replies
from keyturn.approvals.auth import accounts, permissions
from keyturn.approvals.auth.accounts import LONGEST_PASSWORD
from keyturn.approvals.auth.passwords import SHORTEST
from keyturn.approvals.auth.permissions import Action
from keyturn.approvals.auth.visitor import SignedIn, require
from keyturn.approvals.web import routing
from keyturn.approvals.web.dependencies import Parts, PartsDep, StoreDep
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.policy.rules import Role
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people.access import Change
from keyturn.orchestrator.store.people.accounts import Label, NewPerson, Profile
from keyturn.orchestrator.store.tables import PersonRow, ProposalRow

router = routing.of_api("people")

WHY = Field(default=None, description="The reason, for the person who has to confirm")
ASKED: Replies = {
    202: {"model": Proposal, "description": "Proposed; another admin has to confirm it"}
}

Manager = Annotated[Person, Depends(require("people.manage"))]
Labels = Annotated[list[Label], Field(max_length=50)]
Email = Annotated[
    str, StringConstraints(pattern=r"^[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,190}$")
]


class Me(BaseModel):
    """The person or service of a session or token, and its permissions."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    email: str
    role: str
    kind: str
    tenant: str | None
    may: list[Action]


class Account(BaseModel):
    """An account; with `tenant` null it sees the objects of all tenants."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    email: str
    kind: str
    role: str
    tenant: str | None
    teams: list[str]
    languages: list[str]
    has_password: bool
    oidc_issuer: str | None
    approves_from: datetime | None
    created_at: datetime
    disabled_at: datetime | None


class Invite(BaseModel):
    """An account to open.

    It has no password: the person signs in through OIDC with this address.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Line
    email: Email
    role: Role
    kind: Literal["person", "service"] = "person"
    tenant: Line | None = None
    teams: Labels = Field(default_factory=list[str])
    languages: Labels = Field(default_factory=list[str])
    reason: Reason | None = WHY


class Describe(BaseModel):
    """The fields that give no permissions; fields left out stay unchanged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Line | None = None
    teams: Labels | None = None
    languages: Labels | None = None


class SetAccess(BaseModel):
    """An account's new role and tenant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role
    tenant: Line | None = Field(description="null: all tenants")
    reason: Reason | None = WHY


class SetPassword(BaseModel):
    """A new password; null removes it, so that the person signs in only through OIDC."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    password: (
        Annotated[
            str, StringConstraints(min_length=SHORTEST, max_length=LONGEST_PASSWORD)
        ]
        | None
    )
    reason: Reason | None = WHY


class Enable(BaseModel):
    """Why a closed account is to be reopened; the body may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Reason | None = WHY


class PeopleQuery(Paged):
    """A filter of accounts."""

    tenant: Line | None = None


@router.get("/me", tags=["me"])
async def me(visitor: SignedIn) -> Me:
    """Show your account, and what you may do."""
    person = visitor.person
    return Me(
        id=person.id,
        name=person.name,
        email=visitor.email,
        role=person.role,
        kind=person.kind,
        tenant=person.tenant,
        may=permissions.granted(person),
    )


@router.get("/people")
async def list_people(
    manager: Manager, store: StoreDep, wanted: Annotated[PeopleQuery, Query()]
) -> Page[Account]:
    """List accounts, oldest first; an admin of a tenant sees only those of the tenant."""
    async with store.read() as session:
        rows = await person_accounts.listing(
            session,
            tenant=accounts.tenant_of_list(manager, wanted.tenant),
            limit=wanted.one_more,
            after=wanted.cursor,
        )
    return page([_body(row) for row in rows], wanted, lambda one: one.id)


@router.post(
    "/people",
    status_code=201,
    dependencies=ONCE,
    responses={**ASKED, **BODY, **STATE},
)
async def invite(
    wanted: Invite, manager: Manager, parts: PartsDep, answer: Response
) -> Account | Proposal:
    """Open an account; 409 if there is an account with this address.

    202 for a person who may decide, confirm, set switches or manage people (`agent`,
    `lead`, `operator`, `admin`): there is no account until another admin confirms the
    proposal. Also 409 if there is no other admin.
    """
    new = NewPerson.model_validate(wanted.model_dump(exclude={"reason"}))
    made = await accounts.invite(parts.store, new, by=manager, reason=wanted.reason)
    return await _either(parts, made, answer)


@router.get("/people/{id}", responses=ONE)
async def show_person(id: PathId, manager: Manager, store: StoreDep) -> Account:  # noqa: A002 the path's name
    """Show an account."""
    async with store.read() as session:
        return _body(await person_accounts.get(session, id, tenant=manager.tenant))


@router.patch("/people/{id}", responses={**BODY, **ONE})
async def describe(
    id: PathId,  # noqa: A002 the path's name
    wanted: Describe,
    manager: Manager,
    store: StoreDep,
) -> Account:
    """Change name, teams or languages."""
    profile = Profile.model_validate(wanted.model_dump())
    row = await person_accounts.describe(
        store, id, profile, by=manager.id, tenant=manager.tenant
    )
    return _body(row)


@router.put("/people/{id}/access", responses={**ASKED, **BODY, **ONE, **STATE})
async def set_access(
    id: PathId,  # noqa: A002 the path's name
    wanted: SetAccess,
    manager: Manager,
    parts: PartsDep,
    answer: Response,
) -> Account | Proposal:
    """Change role and tenant; 403 for your own account, 409 for the last admin's.

    202 if this gives more access: nothing is changed until another admin confirms the
    proposal. A person who may decide more afterwards can only read for a day.
    """
    done = await accounts.set_access(
        parts.store,
        id,
        Change(role=wanted.role, tenant=wanted.tenant),
        by=manager,
        reason=wanted.reason,
    )
    return await _either(parts, done, answer)


@router.post("/people/{id}:disable", dependencies=ONCE, responses={**ONE, **STATE})
async def disable(id: PathId, manager: Manager, store: StoreDep) -> Account:  # noqa: A002 the path's name
    """Close an account, end its sessions, revoke its tokens; 409 for the last admin's."""
    return _body(await accounts.close(store, id, by=manager))


@router.post(
    "/people/{id}:enable",
    dependencies=ONCE,
    responses={**ASKED, **BODY, **ONE, **STATE},
)
async def enable(
    id: PathId,  # noqa: A002 the path's name
    manager: Manager,
    parts: PartsDep,
    answer: Response,
    wanted: Enable | None = None,
) -> Account | Proposal:
    """Propose to reopen a closed account; its tokens stay revoked.

    202: another admin has to confirm the proposal. 200 if the account is open already.
    """
    reason = wanted.reason if wanted else None
    done = await accounts.reopen(parts.store, id, by=manager, reason=reason)
    return await _either(parts, done, answer)


# Not kept under an `Idempotency-Key`: a digest of the body could be guessed at.
@router.post("/people/{id}:password", responses={**ASKED, **BODY, **ONE, **STATE})
async def set_password(
    id: PathId,  # noqa: A002 the path's name
    wanted: SetPassword,
    manager: Manager,
    parts: PartsDep,
    answer: Response,
) -> Account | Proposal:
    """Propose a new password for another person, or remove their password.

    202: another admin has to confirm the proposal, because the person who chose the
    password could sign in with it. Then their sessions end, and they can decide nothing
    for a day. null removes the password at once.
    """
    done = await accounts.reset_password(
        parts.store, id, wanted.password, by=manager, reason=wanted.reason
    )
    return await _either(parts, done, answer)


async def _either(
    parts: Parts, row: PersonRow | ProposalRow, answer: Response
) -> Account | Proposal:
    """Return the account; or, with status 202, the pending proposal."""
    if isinstance(row, PersonRow):
        return _body(row)
    parts.deliver_soon()
    answer.status_code = 202
    return await proposal_body.body(parts.store, row)


def _body(row: PersonRow) -> Account:
    return Account(
        **row.model_dump(include=set(Account.model_fields) - {"has_password"}),
        has_password=row.password_hash is not None,
    )
