"""The effect ledger: listing, outcomes of unknown effects, and compensation."""

from typing import Annotated, Literal

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from keyturn.approvals.api import record_body, run_body
from keyturn.approvals.api.fields import Id, Line, PathId, Reason, Words
from keyturn.approvals.api.idempotency import ONCE
from keyturn.approvals.api.pages import Page, Paged, page
from keyturn.approvals.api.record_body import Effect
from keyturn.approvals.api.replies import BODY, ONE, STATE
from keyturn.approvals.api.run_body import Run
from keyturn.approvals.auth import permissions
from keyturn.approvals.auth.visitor import require
from keyturn.approvals.web import routing, tenancy
from keyturn.approvals.web.dependencies import PartsDep, StoreDep
from keyturn.approvals.web.tenancy import Reader
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.status import EffectStatus
from keyturn.orchestrator.store.effects import (
    compensation,
    late_failure,
    reconcile,
    resolution,
)
from keyturn.orchestrator.store.effects.late_failure import Later
from keyturn.orchestrator.store.effects.resolution import Resolution
from keyturn.orchestrator.store.ledger import listing
from keyturn.orchestrator.store.ledger.listing import Filter
from keyturn.orchestrator.store.tables import EffectRow

router = routing.of_api("effects")


class EffectQuery(Paged):
    """A filter of effects."""

    status: EffectStatus | None = None
    run: Id | None = None
    tenant: Line | None = None
    workflow: Line | None = None
    tool: Line | None = None
    customer: Line | None = None


class Found(BaseModel):
    """The outcome that a person found out at the provider."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    happened: StrictBool
    evidence: Words = Field(
        description="How this is known, for example a statement or a reference number"
    )


class FailedLater(BaseModel):
    """A provider's report that a done effect failed or was reversed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    how: Literal["failed", "reversed"]
    words: Reason = Field(description="What is known about it")
    reference: Line | None = Field(
        default=None, description="The provider's reference number"
    )


class Compensation(BaseModel):
    """Why an effect is to be compensated; the person who approves it reads this."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Reason


@router.get("/effects")
async def list_effects(
    person: Reader, store: StoreDep, wanted: Annotated[EffectQuery, Query()]
) -> Page[Effect]:
    """List effects, those of the newest runs first."""
    asked = wanted.model_dump(exclude={"limit", "cursor", "tenant"})
    chosen = Filter(**asked, tenant=tenancy.of_list(person, wanted.tenant))
    async with store.read() as session:
        rows = await listing.listing(
            session, chosen, limit=wanted.one_more, before=wanted.cursor
        )
    return page([_body(row, person) for row in rows], wanted, lambda one: one.key)


@router.get("/effects/{key}", responses=ONE)
async def show_effect(key: PathId, person: Reader, store: StoreDep) -> Effect:
    """Show one effect."""
    async with store.read() as session:
        return _body(await listing.get(session, key, tenant=person.tenant), person)


@router.post(
    "/effects/{key}:record", dependencies=ONCE, responses={**BODY, **ONE, **STATE}
)
async def record_outcome(
    key: PathId,
    found: Found,
    person: Annotated[Person, Depends(require("effects.record"))],
    parts: PartsDep,
) -> Effect:
    """Record whether an unknown effect happened; its run continues with that.

    409 if you record that it never happened while its request may still be carried
    out; `until` says until when.

    For a reopened effect: record whether it is still done. The person who reopened it
    cannot record this.
    """
    async with parts.store.read() as session:
        await listing.get(session, key, tenant=person.tenant)
    row = await resolution.resolve(
        parts.store,
        key,
        Resolution(
            happened=found.happened,
            evidence=found.evidence,
            person=person.id,
            person_name=person.name,
        ),
    )
    parts.deliver_soon(row.run)
    return _body(row, person)


@router.post(
    "/effects/{key}:lookup",
    status_code=202,
    dependencies=ONCE,
    responses={**ONE, **STATE},
)
async def look_up(
    key: PathId,
    person: Annotated[Person, Depends(require("effects.record"))],
    parts: PartsDep,
) -> Effect:
    """Have the effect worker look up an unknown effect now, with the effect's tool."""
    async with parts.store.read() as session:
        await listing.get(session, key, tenant=person.tenant)
    row = await reconcile.ask(parts.store, key, by=person.id)
    parts.deliver_soon(row.run)
    return _body(row, person)


@router.post(
    "/effects/{key}:reopen", dependencies=ONCE, responses={**BODY, **ONE, **STATE}
)
async def reopen(
    key: PathId,
    said: FailedLater,
    person: Annotated[Person, Depends(require("effects.report"))],
    store: StoreDep,
) -> Effect:
    """Report that a done effect failed later; people then investigate it. Once only.

    Its money counts towards limits until another person records that it failed.
    """
    async with store.read() as session:
        await listing.get(session, key, tenant=person.tenant)
    later = Later(**said.model_dump(), by=person.id, by_name=person.name)
    await late_failure.reopen(store, key, later)
    async with store.read() as session:
        return _body(await listing.get(session, key, tenant=person.tenant), person)


@router.post(
    "/effects/{key}:compensate",
    status_code=202,
    dependencies=ONCE,
    responses={**BODY, **ONE, **STATE},
)
async def compensate(
    key: PathId,
    wanted: Compensation,
    person: Annotated[Person, Depends(require("effects.compensate"))],
    parts: PartsDep,
) -> Run:
    """Request the compensation of a done effect: an action in a new run. Once only.

    It goes through policy; the person who requests it cannot approve it.
    """
    async with parts.store.read() as session:
        await listing.get(session, key, tenant=person.tenant)
    row, _ = await compensation.ask(
        parts.store, key, by=person.id, by_name=person.name, reason=wanted.reason
    )
    parts.deliver_soon(row.id)
    return await run_body.one(parts.store, row)


def _body(row: EffectRow, person: Person) -> Effect:
    is_operator = permissions.may(person, "audit.read")
    return record_body.effect(row, is_operator=is_operator)
