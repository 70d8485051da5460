"""Assignment of items to other people, over HTTP."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from keyturn.approvals.api import approval_body
from keyturn.approvals.api.approval_body import Approval
from keyturn.approvals.api.fields import Id, Reason
from keyturn.approvals.api.idempotency import ONCE
from keyturn.approvals.api.replies import BODY, ONE
from keyturn.approvals.auth.visitor import require
from keyturn.approvals.web import problems, routing
from keyturn.approvals.web.dependencies import StoreDep
from keyturn.approvals.web.problems import Problem
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.errors import KeyturnError
from keyturn.orchestrator.store.approvals import reassignment
from keyturn.orchestrator.store.people import accounts
from keyturn.orchestrator.store.tables import ApprovalRow

router = routing.of_api("approvals")

Leaver = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]
MOST = 100


class Assign(BaseModel):
    """The items, or the person whose items, to assign; `to` null: back to the queue.

    If the rule assigns its items by the system, leave `to` out: the system picks
    another person.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    items: list[Id] | None = Field(default=None, min_length=1, max_length=MOST)
    leaver: Leaver | None = Field(
        default=None,
        alias="from",
        description="A person's id or address: all items they claimed or were assigned",
    )
    to: Leaver | None = Field(default=None, description="A person's id or address")
    reason: Reason

    @model_validator(mode="after")
    def _says_which(self) -> "Assign":
        if (self.items is None) == (self.leaver is None):
            raise ValueError("items or from: give exactly one of the two")
        return self


class Assigned(BaseModel):
    """The result for one item: the approval, or why it was not assigned."""

    model_config = ConfigDict(frozen=True)

    id: str
    approval: Approval | None
    assigned_name: str | None
    problem: Problem | None


class AllAssigned(BaseModel):
    """The result for each item; `more`: this person has others, send this again."""

    model_config = ConfigDict(frozen=True)

    items: list[Assigned]
    assigned: int
    more: bool


@router.post("/approvals:assign", dependencies=ONCE, responses={**BODY, **ONE})
async def assign(
    wanted: Assign,
    person: Annotated[Person, Depends(require("approvals.assign"))],
    store: StoreDep,
) -> AllAssigned:
    """Assign items to a person who may decide them, or return them to their queue.

    If the system assigns an item, asking for another assignee is possible once, and
    the person who asks can then not decide the item. An item that cannot be assigned
    does not affect the others.
    """
    if wanted.leaver is not None:
        found = await reassignment.move_all(
            store, person, wanted.leaver, to=wanted.to, reason=wanted.reason
        )
    else:
        found = await reassignment.reassign_each(
            store, person, wanted.items or [], to=wanted.to, reason=wanted.reason
        )
    rows = [came for _, came in found if isinstance(came, ApprovalRow)]
    bodies = {one.id: one for one in await approval_body.many(store, rows)}
    async with store.read() as session:
        given = {row.assigned_to for row in rows if row.assigned_to}
        names = await accounts.names(session, given)
    return AllAssigned(
        items=[_result(name, came, bodies, names) for name, came in found],
        assigned=len(rows),
        more=wanted.leaver is not None and _is_full(found),
    )


def _is_full(found: Sequence[object]) -> bool:
    return len(found) >= reassignment.MOST


def _result(
    name: str,
    came: ApprovalRow | KeyturnError,
    bodies: Mapping[str, Approval],
    names: Mapping[str, str],
) -> Assigned:
    if isinstance(came, ApprovalRow):
        to = came.assigned_to
        return Assigned(
            id=name,
            approval=bodies[came.id],
            assigned_name=names.get(to, to) if to else None,
            problem=None,
        )
    place = f"/api/v1/approvals/{name}"
    problem = problems.of_error(came, instance=place).problem
    return Assigned(id=name, approval=None, assigned_name=None, problem=problem)
