"""Claims over HTTP: claim, renew, unclaim."""

from pydantic import BaseModel, ConfigDict, Field

from keyturn.approvals.api import approval_body
from keyturn.approvals.api.approval_body import Approval
from keyturn.approvals.api.fields import Id, PathId, Reason
from keyturn.approvals.api.idempotency import ONCE
from keyturn.approvals.api.replies import BODY, ONE, STATE
from keyturn.approvals.web import routing
from keyturn.approvals.web.dependencies import StoreDep
from keyturn.approvals.web.tenancy import Decider
from keyturn.orchestrator.store.approvals import claims

router = routing.of_api("approvals")


class Claim(BaseModel):
    """A claim; to take over another person's, name them and give a reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    take_over: Id | None = Field(
        default=None,
        description="The `claimed_by` that you saw: the person whose claim to take over",
    )
    reason: Reason | None = Field(default=None, description="Required to take over")


@router.post(
    "/approvals/{id}:claim", dependencies=ONCE, responses={**BODY, **ONE, **STATE}
)
async def claim(
    id: PathId,  # noqa: A002 the path's name
    wanted: Claim,
    person: Decider,
    store: StoreDep,
) -> Approval:
    """Claim an item for five minutes; repeat this to renew the claim.

    A person who may decide the item may claim it. Until the claim ends nobody else can
    approve the item: 409 names who claimed it and until when. It ends when it expires,
    with the decision, or by `:unclaim`.
    """
    row = await claims.claim(
        store, person, id, take_over=wanted.take_over, reason=wanted.reason
    )
    return await approval_body.one(store, row)


@router.post("/approvals/{id}:unclaim", dependencies=ONCE, responses={**ONE, **STATE})
async def unclaim(
    id: PathId,  # noqa: A002 the path's name
    person: Decider,
    store: StoreDep,
) -> Approval:
    """End your claim; 409 if somebody else has claimed the item."""
    row = await claims.unclaim(store, person, id)
    return await approval_body.one(store, row)
