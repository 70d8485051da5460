"""Incidents: open, list, show, and close with a reason."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from keyturn.approvals.api.fields import Line, PathId, Reason, Words
from keyturn.approvals.api.idempotency import ONCE
from keyturn.approvals.api.pages import Page, Paged, page
from keyturn.approvals.api.replies import BODY, ONE, STATE
from keyturn.approvals.auth.visitor import require
from keyturn.approvals.web import routing, tenancy
from keyturn.approvals.web.dependencies import StoreDep
from keyturn.orchestrator.rules import ids
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.status import IncidentStatus, Severity
from keyturn.orchestrator.store.incidents import incidents
from keyturn.orchestrator.store.incidents.incidents import NewIncident
from keyturn.orchestrator.store.tables import IncidentRow

router = routing.of_api("incidents")

Reader = Annotated[Person, Depends(require("incidents.read"))]
Manager = Annotated[Person, Depends(require("incidents.manage"))]


class Incident(BaseModel):
    """Something that a person has to investigate; `source` names its subject."""

    model_config = ConfigDict(frozen=True)

    id: str
    severity: Severity
    title: str
    source: str
    detail: dict[str, JsonValue]
    tenant: str | None
    status: IncidentStatus
    opened_by: str
    named: list[str] = Field(
        description="The accounts that it is about; these people cannot close a critical one"
    )
    created_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    close_reason: str | None


class IncidentQuery(Paged):
    """A filter of incidents."""

    status: IncidentStatus | None = None
    tenant: Line | None = None


class OpenIncident(BaseModel):
    """What happened; without a tenant, the incident concerns all tenants."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    severity: Severity
    title: Line
    detail: Words = Field(
        description="What is known, for the person who investigates it"
    )
    tenant: Line | None = None


class CloseIncident(BaseModel):
    """The reason to close an incident."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Reason


@router.get("/incidents")
async def list_incidents(
    person: Reader, store: StoreDep, wanted: Annotated[IncidentQuery, Query()]
) -> Page[Incident]:
    """List incidents, newest first."""
    async with store.read() as session:
        rows = await incidents.listing(
            session,
            wanted.status,
            tenant=tenancy.of_list(person, wanted.tenant),
            limit=wanted.one_more,
            before=wanted.cursor,
        )
    return page([_body(row) for row in rows], wanted, lambda one: one.id)


@router.get("/incidents/{id}", responses=ONE)
async def show_incident(id: PathId, person: Reader, store: StoreDep) -> Incident:  # noqa: A002 the path's name
    """Show an incident."""
    async with store.read() as session:
        return _body(await incidents.get(session, id, tenant=person.tenant))


@router.post(
    "/incidents", status_code=201, dependencies=ONCE, responses={**BODY, **STATE}
)
async def open_incident(
    wanted: OpenIncident, person: Manager, store: StoreDep
) -> Incident:
    """Open an incident, and notify the people who get notices about incidents."""
    tenant = person.tenant or wanted.tenant
    if wanted.tenant is not None:
        tenant = await tenancy.of_new(store, person, wanted.tenant)
    new = NewIncident(
        severity=wanted.severity,
        title=wanted.title,
        source=ids.new_id(f"person:{person.id}"),
        detail={"words": wanted.detail},
        tenant=tenant,
    )
    row, _ = await incidents.open_once(store, new, by=person.id)
    return _body(row)


@router.post(
    "/incidents/{id}:close", dependencies=ONCE, responses={**BODY, **ONE, **STATE}
)
async def close_incident(
    id: PathId,  # noqa: A002 the path's name
    wanted: CloseIncident,
    person: Manager,
    store: StoreDep,
) -> Incident:
    """Close an incident with a reason; 409 if it is already closed.

    403 for a critical one that this person opened or that is about them.
    """
    row = await incidents.close(
        store, id, by=person.id, reason=wanted.reason, tenant=person.tenant
    )
    return _body(row)


def _body(row: IncidentRow) -> Incident:
    return Incident(
        **row.model_dump(exclude={"severity", "status"}),
        severity=row.severity,
        status=row.status,
    )
