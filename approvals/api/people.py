"""Who is signed in."""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from approvals.api.json_route import StrictRoute
from approvals.auth import permissions
from approvals.auth.permissions import Action
from approvals.auth.visitor import SignedIn

router = APIRouter(tags=["me"], route_class=StrictRoute)


class Me(BaseModel):
    """The person or service that a session or token stands for."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    email: str
    role: str
    kind: str
    tenant: str | None
    may: list[Action]


@router.get("/me")
async def me(visitor: SignedIn) -> Me:
    """Return who asks, and what they may do."""
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
