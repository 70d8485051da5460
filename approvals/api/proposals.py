"""Proposals: one person proposes to loosen something, another answers (P11)."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from keyturn.approvals.api.fields import PathId, Reason
from keyturn.approvals.api.idempotency import ONCE
from keyturn.approvals.api.pages import Page, Paged, page
from keyturn.approvals.api.replies import BODY, ONE, STATE
from keyturn.approvals.auth import dual_control
from keyturn.approvals.auth.visitor import require
from keyturn.approvals.web import routing
from keyturn.approvals.web.dependencies import PartsDep, StoreDep
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.dual_control import proposals, state
from keyturn.orchestrator.store.dual_control.requests import Kind
from keyturn.orchestrator.store.dual_control.state import State
from keyturn.orchestrator.store.tables import ProposalRow

router = routing.of_api("proposals")

Reader = Annotated[Person, Depends(require("proposals.read"))]
Answerer = Annotated[Person, Depends(require("proposals.answer"))]


class Proposal(BaseModel):
    """A loosening that another person has to confirm before `ends_at`."""

    model_config = ConfigDict(frozen=True)

    id: str
    kind: Kind
    target: dict[str, JsonValue] = Field(
        description="What it is about, as it was when it was proposed"
    )
    tenant: str | None
    reason: str
    status: State
    proposed_by: str
    proposed_name: str
    created_at: datetime
    ends_at: datetime
    decided_by: str | None
    decided_name: str | None
    decided_at: datetime | None
    outcome: str | None = Field(description="Why it was declined or is void")


class Decline(BaseModel):
    """The reason to decline a proposal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Reason


class ProposalQuery(Paged):
    """A filter of proposals."""

    all: bool = Field(default=False, description="Include answered proposals")


ANSWERS = {**ONE, **STATE}


@router.get("/proposals")
async def list_proposals(
    person: Reader, store: StoreDep, wanted: Annotated[ProposalQuery, Query()]
) -> Page[Proposal]:
    """List pending proposals, or all, newest first."""
    async with store.read() as session:
        now = await session.read_clock()
        rows = await proposals.listing(
            session,
            proposals.Filter(person.tenant, is_open=not wanted.all),
            limit=wanted.one_more,
            before=wanted.cursor,
        )
    return page([_body(row, now) for row in rows], wanted, lambda one: one.id)


@router.get("/proposals/{id}", responses=ONE)
async def show_proposal(id: PathId, person: Reader, store: StoreDep) -> Proposal:  # noqa: A002 the path's name
    """Show a proposal."""
    async with store.read() as session:
        row = await proposals.get(session, id, tenant=person.tenant)
        return _body(row, await session.read_clock())


@router.post("/proposals/{id}:confirm", dependencies=ONCE, responses=ANSWERS)
async def confirm_proposal(id: PathId, person: Answerer, parts: PartsDep) -> Proposal:  # noqa: A002 the path's name
    """Confirm another person's proposal, and carry it out.

    403 for the person who proposed it, with any of their tokens. 409 if it was already
    answered, has expired, or its subject has changed: then nothing is done.
    """
    return await body(parts.store, await dual_control.confirm(parts, id, person))


@router.post(
    "/proposals/{id}:decline", dependencies=ONCE, responses={**BODY, **ANSWERS}
)
async def decline_proposal(
    id: PathId,  # noqa: A002 the path's name
    why: Decline,
    person: Answerer,
    parts: PartsDep,
) -> Proposal:
    """Decline another person's proposal."""
    row = await dual_control.decline(parts, id, person, reason=why.reason)
    return await body(parts.store, row)


@router.post("/proposals/{id}:withdraw", dependencies=ONCE, responses=ANSWERS)
async def withdraw_proposal(id: PathId, person: Answerer, parts: PartsDep) -> Proposal:  # noqa: A002 the path's name
    """Withdraw your own proposal."""
    return await body(parts.store, await dual_control.withdraw(parts, id, person))


async def body(store: Store, row: ProposalRow) -> Proposal:
    """Return a proposal as the API shows it."""
    async with store.read() as session:
        return _body(row, await session.read_clock())


def _body(row: ProposalRow, now: datetime) -> Proposal:
    shown = row.model_dump(exclude={"status", "secret"})
    return Proposal(**shown, status=state.state(row, now=now))
