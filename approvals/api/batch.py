"""Batch decisions on items of one tool and rule, over HTTP."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from keyturn.approvals.api import approval_body
from keyturn.approvals.api.approval_body import Approval, MoneyBody
from keyturn.approvals.api.fields import Id, Reason
from keyturn.approvals.api.idempotency import ONCE
from keyturn.approvals.api.replies import BODY, ONE
from keyturn.approvals.web import problems, routing
from keyturn.approvals.web.dependencies import PartsDep
from keyturn.approvals.web.problems import Problem
from keyturn.approvals.web.tenancy import Decider
from keyturn.orchestrator.rules.errors import KeyturnError
from keyturn.orchestrator.store.approvals import batch
from keyturn.orchestrator.store.approvals.batch import MOST, Bound
from keyturn.orchestrator.store.approvals.decision import Answer
from keyturn.orchestrator.store.tables import ApprovalRow

router = routing.of_api("approvals")


class Item(BaseModel):
    """An approval, with its binding as it was shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Id
    binding: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class DecideMany(BaseModel):
    """One decision on several items of one tool and rule."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: list[Item] = Field(min_length=1, max_length=MOST)
    decision: Literal["approve", "reject"]
    reason: Reason | None = Field(default=None, description="Required for `reject`")


class Result(BaseModel):
    """The result for one item: the approval, or why it was not decided."""

    model_config = ConfigDict(frozen=True)

    id: str
    approval: Approval | None
    problem: Problem | None


class Results(BaseModel):
    """The result for each item, and the total money of the decided ones."""

    model_config = ConfigDict(frozen=True)

    items: list[Result]
    decided: int
    totals: list[MoneyBody]


@router.post("/approvals:decide", dependencies=ONCE, responses={**BODY, **ONE})
async def decide_many(wanted: DecideMany, person: Decider, parts: PartsDep) -> Results:
    """Decide up to 20 items of one tool and rule that need only one person.

    422 if they are of different tools or rules: then nothing is decided. Otherwise
    each item has its own result, and a failure does not affect the others.
    """
    bound = [Bound(id=one.id, binding=one.binding) for one in wanted.items]
    answer = Answer(decision=wanted.decision, binding="", reason=wanted.reason)
    found = await batch.decide(parts.store, parts.signer, person, bound, answer)
    rows = [one for one in found if isinstance(one, ApprovalRow)]
    for run in {row.run for row in rows}:
        parts.deliver_soon(run)
    bodies = {one.id: one for one in await approval_body.many(parts.store, rows)}
    items = [
        _result(one.id, came, bodies)
        for one, came in zip(wanted.items, found, strict=True)
    ]
    return Results(items=items, decided=len(rows), totals=_totals(rows))


def _result(
    name: str, came: ApprovalRow | KeyturnError, bodies: dict[str, Approval]
) -> Result:
    if isinstance(came, ApprovalRow):
        return Result(id=name, approval=bodies[came.id], problem=None)
    place = f"/api/v1/approvals/{name}"
    problem = problems.of_error(came, instance=place).problem
    return Result(id=name, approval=None, problem=problem)


def _totals(rows: Sequence[ApprovalRow]) -> list[MoneyBody]:
    sums = Counter[str]()
    for row in rows:
        if row.currency is not None and row.amount is not None:
            sums[row.currency] += row.amount
    bodies = [approval_body.money_body(total, name) for name, total in sums.items()]
    return [one for one in bodies if one is not None]
