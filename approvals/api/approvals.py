"""Approvals: listed, shown, decided."""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from keyturn.approvals.api import approval_body
from keyturn.approvals.api.approval_body import Approval
from keyturn.approvals.api.fields import Line, PathId, Reason
from keyturn.approvals.api.idempotency import ONCE
from keyturn.approvals.api.pages import Page, Paged, page
from keyturn.approvals.api.replies import BODY, ONE, STATE, problems
from keyturn.approvals.web import routing, tenancy
from keyturn.approvals.web.dependencies import PartsDep, StoreDep
from keyturn.approvals.web.tenancy import Decider, Reader
from keyturn.orchestrator.rules.authority.binding import DecisionKind
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.status import ApprovalStatus
from keyturn.orchestrator.store.approvals import decide as approval_decide
from keyturn.orchestrator.store.approvals import listing
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.approvals.decision import Answer
from keyturn.orchestrator.store.approvals.queue_filter import Claim, Filter
from keyturn.orchestrator.store.effects import undo

router = routing.of_api("approvals")


class Decide(BaseModel):
    """A person's decision on an approval as it was shown to them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decision: DecisionKind
    binding: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] = Field(
        description="The approval's `binding` as it was shown"
    )
    arguments: dict[str, JsonValue] | None = Field(
        default=None, description="With `approve`: the edited arguments"
    )
    reason: Reason | None = Field(
        default=None, description="Required for `reject` and `change`"
    )


class ApprovalQuery(Paged):
    """Which approvals to list."""

    status: ApprovalStatus | None = None
    tenant: Line | None = None
    workflow: Line | None = None
    tool: Line | None = None
    team: Line | None = None
    language: Line | None = None
    claim: Claim | None = Field(
        default=None,
        description="`mine`: claimed by you or assigned to you; `claimed`: claimed by "
        "anybody; `unclaimed`: claimed by nobody",
    )
    own: bool = Field(
        default=False, description="Only those of your teams and languages"
    )

    def filter(self, person: Person) -> Filter:
        """Return what to list for this person."""
        asked = self.model_dump(exclude={"limit", "cursor", "tenant"})
        tenant = tenancy.of_list(person, self.tenant)
        return Filter(**asked, tenant=tenant, person=person)


@router.get("/approvals")
async def list_approvals(
    person: Reader, store: StoreDep, wanted: Annotated[ApprovalQuery, Query()]
) -> Page[Approval]:
    """List approvals, the longest waiting first."""
    async with store.read() as session:
        await session.read_clock()
        rows = await listing.listing(
            session, wanted.filter(person), limit=wanted.one_more, after=wanted.cursor
        )
        found = await approval_body.bodies(session, rows)
    return page(found, wanted, lambda one: one.id)


@router.get("/approvals/{id}", responses=ONE)
async def show_approval(id: PathId, person: Reader, store: StoreDep) -> Approval:  # noqa: A002 the path's name
    """Show one approval."""
    async with store.read() as session:
        row = await approval_lookup.get(session, id, tenant=person.tenant)
    return await approval_body.one(store, row)


@router.post(
    "/approvals/{id}:decide",
    dependencies=ONCE,
    responses={**BODY, **ONE, **STATE, **problems(412)},
)
async def decide(
    id: PathId,  # noqa: A002 the path's name
    wanted: Decide,
    person: Decider,
    parts: PartsDep,
) -> Approval:
    """Approve, reject or ask for changes.

    409 if it was decided or is claimed (names by whom); 412 if `binding` is not the
    current one; 403 if this person may not decide it. The response to an edit may be
    a new approval, for other people.
    """
    answer = Answer(
        decision=wanted.decision,
        binding=wanted.binding,
        arguments=wanted.arguments,
        reason=wanted.reason,
    )
    row = await approval_decide.decide(parts.store, parts.signer, person, id, answer)
    parts.deliver_soon(row.run)
    return await approval_body.one(parts.store, row)


class Undo(BaseModel):
    """The reason to undo a decision."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Reason | None = None


@router.post(
    "/approvals/{id}:undo", dependencies=ONCE, responses={**BODY, **ONE, **STATE}
)
async def undo_decision(
    id: PathId,  # noqa: A002 the path's name
    wanted: Undo,
    person: Decider,
    parts: PartsDep,
) -> Approval:
    """Undo a decision before it is carried out; return the approval that replaces it.

    The person who decided can do this, and so can a lead. 409 if the time to undo is
    over or the action has begun.
    """
    row = await undo.undo(parts.store, person, id, wanted.reason or "")
    parts.deliver_soon(row.run)
    return await approval_body.one(parts.store, row)
