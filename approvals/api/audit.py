"""The audit log: listing and verification (P13)."""

from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from keyturn.approvals.api import record_body
from keyturn.approvals.api.fields import Id, Line
from keyturn.approvals.api.pages import Page, Paged, page
from keyturn.approvals.api.record_body import AuditEntry
from keyturn.approvals.auth.visitor import require
from keyturn.approvals.web import routing, tenancy
from keyturn.approvals.web.dependencies import PartsDep, StoreDep
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.store.audit import listing
from keyturn.orchestrator.store.audit.listing import Filter
from keyturn.orchestrator.store.integrity.discrepancies import Discrepancy

router = routing.of_api("audit")

Auditor = Annotated[Person, Depends(require("audit.read"))]
Verifier = Annotated[Person, Depends(require("audit.verify"))]


class AuditQuery(Paged):
    """A filter of entries."""

    # Ids of rows have at most 18 digits here, which every database holds.
    cursor: str | None = Field(
        default=None,
        pattern=r"^[0-9]{1,18}$",
        description="`next` of the previous page",
    )
    run: Id | None = None
    tenant: Line | None = None
    actor: Line | None = None
    kind: Line | None = None
    subject: Line | None = None


class VerifyQuery(BaseModel):
    """What to verify the log against."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint: str | None = Field(
        default=None,
        pattern="^[0-9a-f]{64}$",
        description="A chain head that was published earlier; the chain must contain it",
    )


class Finding(BaseModel):
    """The result: sealed entries, the first break, and differences from the tables.

    `discrepancies` has at most 1,000 of the `found` ones; `signatures` is the number of
    verified signatures.
    """

    model_config = ConfigDict(frozen=True)

    intact: bool
    sealed: int
    unsealed: int
    head: str
    broken_at: int | None
    why: str | None
    rows: int
    signatures: int | None
    undigested: int
    unvouched: int
    found: int
    discrepancies: list[Discrepancy]


@router.get("/audit")
async def list_audit(
    person: Auditor, store: StoreDep, wanted: Annotated[AuditQuery, Query()]
) -> Page[AuditEntry]:
    """List audit entries, oldest first."""
    asked = wanted.model_dump(exclude={"limit", "cursor", "tenant"})
    chosen = Filter(**asked, tenant=tenancy.of_list(person, wanted.tenant))
    async with store.read() as session:
        rows = await listing.listing(
            session, chosen, limit=wanted.one_more, after=int(wanted.cursor or 0)
        )
    found = [record_body.audit_entry(row, is_operator=True) for row in rows]
    return page(found, wanted, lambda one: str(one.id))


@router.get("/audit:verify")
async def verify_audit(
    person: Verifier, parts: PartsDep, wanted: Annotated[VerifyQuery, Query()]
) -> Finding:
    """Verify the whole chain, and compare the tables with their audit entries.

    Requests during a verification share its result.
    """
    del person
    found = await parts.verification.result(parts.store, checkpoint=wanted.checkpoint)
    return Finding(intact=found.is_intact, **found.model_dump())
