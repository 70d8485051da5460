"""Tenants: list and propose; another admin confirms."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from keyturn.approvals.api import proposals as proposed
from keyturn.approvals.api.fields import Reason
from keyturn.approvals.api.idempotency import ONCE
from keyturn.approvals.api.pages import Page, Paged, page
from keyturn.approvals.api.proposals import Proposal
from keyturn.approvals.api.replies import BODY, STATE
from keyturn.approvals.auth.visitor import require
from keyturn.approvals.web import routing, tenancy
from keyturn.approvals.web.dependencies import PartsDep, StoreDep
from keyturn.approvals.web.tenancy import Reader
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.store.dual_control import requests
from keyturn.orchestrator.store.tables import TenantRow
from keyturn.orchestrator.store.tenants import tenants
from keyturn.orchestrator.store.tenants.tenants import NewTenant

router = routing.of_api("tenants")


class Tenant(BaseModel):
    """A tenant for which runs may be started."""

    model_config = ConfigDict(frozen=True)

    name: str
    declared_by: str | None = Field(description="Null for the built-in tenant")
    created_at: datetime | None


class DeclareTenant(BaseModel):
    """A tenant to declare, and the reason; a name can never be used again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=tenants.NAME)]
    reason: Reason


@router.get("/tenants")
async def list_tenants(
    person: Reader, store: StoreDep, wanted: Annotated[Paged, Query()]
) -> Page[Tenant]:
    """List the declared tenants by name; people of a tenant see only their own."""
    async with store.read() as session:
        rows = {row.name: row for row in await tenants.listing(session)}
    found = [
        _body(name, rows.get(name))
        for name in sorted({tenants.DEFAULT, *rows})
        if tenancy.sees(person, name) and name > (wanted.cursor or "")
    ]
    return page(found[: wanted.one_more], wanted, lambda one: one.name)


@router.post(
    "/tenants", status_code=202, dependencies=ONCE, responses={**BODY, **STATE}
)
async def declare_tenant(
    wanted: DeclareTenant,
    person: Annotated[Person, Depends(require("tenants.declare"))],
    parts: PartsDep,
) -> Proposal:
    """Propose a tenant; another admin of all tenants has to confirm it."""
    new = NewTenant(name=wanted.name)
    row = await requests.to_declare(parts.store, new, person, reason=wanted.reason)
    parts.deliver_soon()
    return await proposed.body(parts.store, row)


def _body(name: str, row: TenantRow | None) -> Tenant:
    if row is None:
        return Tenant(name=name, declared_by=None, created_at=None)
    return Tenant(name=name, declared_by=row.declared_by, created_at=row.created_at)
