"""Extension of deadlines, over HTTP."""

from datetime import timedelta
from typing import Annotated

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field, model_validator

from keyturn.approvals.api import approval_body
from keyturn.approvals.api.approval_body import Approval
from keyturn.approvals.api.fields import PathId, Reason, Time
from keyturn.approvals.api.idempotency import ONCE
from keyturn.approvals.api.replies import BODY, ONE, STATE
from keyturn.approvals.auth.visitor import require
from keyturn.approvals.web import routing
from keyturn.approvals.web.dependencies import StoreDep
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.store.approvals import extension

router = routing.of_api("approvals")

MOST_MINUTES = extension.FURTHEST // timedelta(minutes=1)


class Extend(BaseModel):
    """The new deadline, or the minutes to add; and the reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    until: Time | None = None
    minutes: int | None = Field(default=None, ge=1, le=MOST_MINUTES, strict=True)
    reason: Reason

    @model_validator(mode="after")
    def _says_how_long(self) -> "Extend":
        if (self.until is None) == (self.minutes is None):
            raise ValueError("until or minutes: give exactly one of the two")
        return self


@router.post(
    "/approvals/{id}:extend", dependencies=ONCE, responses={**BODY, **ONE, **STATE}
)
async def extend(
    id: PathId,  # noqa: A002 the path's name
    wanted: Extend,
    person: Annotated[Person, Depends(require("approvals.extend"))],
    store: StoreDep,
) -> Approval:
    """Extend the deadline: at most three times, and to a week after the request.

    409 if the item is closed, already late, or can no longer be extended.
    """
    if wanted.until is not None:
        row = await extension.extend(
            store, person, id, until=wanted.until, reason=wanted.reason
        )
    else:
        by = timedelta(minutes=wanted.minutes or 0)
        row = await extension.extend_by(store, person, id, by=by, reason=wanted.reason)
    return await approval_body.one(store, row)
