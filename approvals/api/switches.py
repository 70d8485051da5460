"""Switches: set, lift, list, and preview their impact (P3)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from keyturn.approvals.api import proposals as proposal_body
from keyturn.approvals.api.fields import SLUG_PATTERN, Line, Reason, Time
from keyturn.approvals.api.idempotency import ONCE
from keyturn.approvals.api.pages import Page, Paged, page
from keyturn.approvals.api.proposals import Proposal
from keyturn.approvals.api.replies import BODY, ONE, STATE
from keyturn.approvals.auth.visitor import require
from keyturn.approvals.web import routing, tenancy
from keyturn.approvals.web.dependencies import PartsDep, StoreDep
from keyturn.approvals.web.tenancy import Reader
from keyturn.orchestrator.rules.authority import switch as nouns
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.authority.switch import Mode
from keyturn.orchestrator.rules.errors import InvalidValue
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.dual_control import requests
from keyturn.orchestrator.store.people import accounts
from keyturn.orchestrator.store.switches import impact as switch_impact
from keyturn.orchestrator.store.switches import switches, unknown_names
from keyturn.orchestrator.store.switches.switches import STOPPING
from keyturn.orchestrator.store.tables import SwitchRow

router = routing.of_api("switches")

SwitchId = Annotated[str, Path(pattern=SLUG_PATTERN)]
Setter = Annotated[Person, Depends(require("switches.set"))]


class Scope(BaseModel):
    """A switch's scope: each field that is set must match; none set: everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workflow: Line | None = None
    tool: Line | None = None
    model: Line | None = None
    provider: Line | None = None
    tenant: Line | None = None
    corpus: Line | None = None

    def noun(self) -> nouns.Scope:
        """Return the scope as the rules know it."""
        return nouns.Scope(**self.model_dump())


class SetSwitch(BaseModel):
    """A switch to set: scope, mode and reason; `value` is the model for `use_model`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: Scope
    mode: Mode
    value: Line | None = None
    reason: Reason
    until: Time | None = Field(
        default=None, description="When it ends; null: when it is lifted"
    )
    anyway: bool = Field(
        default=False,
        strict=True,
        description="Set it even if its scope contains an unknown name",
    )

    @model_validator(mode="after")
    def _has_its_model(self) -> "SetSwitch":
        if (self.mode == "use_model") != (self.value is not None):
            raise ValueError(
                "value: required with the mode use_model (a model alias or provider/model), "
                "and not allowed with other modes"
            )
        return self


class Switch(BaseModel):
    """A switch; effects in `sending` may still reach the provider, `revoked` will not.

    `warnings`: what does not work as written, if the switch was set with `anyway`.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    scope: Scope
    mode: Mode
    value: str | None
    reason: str
    author: str
    author_name: str
    created_at: datetime
    until: datetime | None
    cleared_at: datetime | None
    cleared_by: str | None
    clear_reason: str | None
    sending: list[str]
    revoked: list[str]
    warnings: list[str]


class WouldHold(BaseModel):
    """What a switch of this scope would stop now."""

    model_config = ConfigDict(frozen=True)

    runs: int
    leased: list[str]
    sending: list[str]


class Impact(BaseModel):
    """The scope to look at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: Scope


class SwitchQuery(Paged):
    """A filter of switches."""

    all: bool = Field(default=False, description="Include lifted switches")


@router.put("/switches/{id}", responses={**BODY, **ONE, **STATE})
async def set_switch(
    id: SwitchId,  # noqa: A002 the path's name
    wanted: SetSwitch,
    person: Setter,
    parts: PartsDep,
) -> Switch:
    """Set a switch; after the response 200, no effect in its scope starts sending.

    Effects in `sending` may still reach the provider. 422: the scope contains an
    unknown name; the known ones are listed, and `anyway` sets the switch regardless.
    409: a switch with this id is set and stops more; set this one under another id, then
    propose to lift the other. 503: the switch is not set.
    """
    tenancy.check_reach(person, wanted.scope.noun())
    now = await _check_replaced(parts.store, id, person)
    if wanted.until is not None and wanted.until <= now:
        raise InvalidValue(
            f"until: {wanted.until:%Y-%m-%d %H:%M:%S %Z} is in the past; name a later time"
        )
    switch = nouns.Switch(
        id=id,
        **wanted.model_dump(exclude={"scope", "anyway"}),
        scope=wanted.scope.noun(),
        author=person.id,
        created_at=now,
    )
    warnings = await unknown_names.check(
        parts.store, switch, tenant=person.tenant, anyway=wanted.anyway
    )
    barrier = await switches.put(parts.store, switch, warnings=warnings)
    parts.deliver_soon()
    row = await _row(parts.store, id, person)
    async with parts.store.read() as session:
        return _body(
            row,
            await accounts.names(session, {row.author}),
            sending=barrier.sending,
            revoked=barrier.revoked,
            warnings=warnings,
        )


@router.get("/switches")
async def list_switches(
    person: Reader, store: StoreDep, wanted: Annotated[SwitchQuery, Query()]
) -> Page[Switch]:
    """List active switches, or all, by id."""
    async with store.read() as session:
        await session.read_clock()
        rows = await switches.listing(
            session,
            ended=wanted.all,
            tenant=person.tenant,
            limit=wanted.one_more,
            after=wanted.cursor,
        )
        names = await accounts.names(session, {row.author for row in rows})
    found = [await _with_sending(store, row, person, names) for row in rows]
    return page(found, wanted, lambda one: one.id)


@router.get("/switches/{id}", responses=ONE)
async def show_switch(id: SwitchId, person: Reader, store: StoreDep) -> Switch:  # noqa: A002 the path's name
    """Show a switch, with the effects that may still reach the provider."""
    row = await _row(store, id, person)
    async with store.read() as session:
        names = await accounts.names(session, {row.author})
    return await _with_sending(store, row, person, names)


@router.delete("/switches/{id}", status_code=202, responses=ONE)
async def clear_switch(
    id: SwitchId,  # noqa: A002 the path's name
    reason: Annotated[Reason, Query()],
    person: Setter,
    parts: PartsDep,
) -> Proposal:
    """Propose to lift a switch; it stays in effect until another person confirms.

    If a proposal is pending already, it is returned.
    """
    row = await _row(parts.store, id, person)
    tenancy.check_reach(person, nouns.Scope(**row.scope))
    made = await requests.to_clear(parts.store, id, person, reason=reason)
    return await proposal_body.body(parts.store, made)


@router.post("/switches:impact", dependencies=ONCE, responses={**BODY, **STATE})
async def impact(wanted: Impact, person: Reader, store: StoreDep) -> WouldHold:
    """Show what a switch of this scope would stop now, without setting it."""
    tenancy.check_reach(person, wanted.scope.noun())
    found = await switch_impact.impact(store, wanted.scope.noun())
    return WouldHold(
        runs=found.runs, leased=list(found.leased), sending=list(found.sending)
    )


async def _check_replaced(store: Store, name: str, person: Person) -> datetime:
    """Refuse to replace a switch beyond the person's tenant; return the time."""
    async with store.read() as session:
        if await session.get(SwitchRow, name) is not None:
            row = await tenancy.visible_switch(session, name, person)
            tenancy.check_reach(person, nouns.Scope(**row.scope))
        return await session.read_clock()


async def _row(store: Store, name: str, person: Person) -> SwitchRow:
    async with store.read() as session:
        return await tenancy.visible_switch(session, name, person)


async def _with_sending(
    store: Store, row: SwitchRow, person: Person, names: Mapping[str, str]
) -> Switch:
    if row.cleared_at is not None or row.mode not in STOPPING:
        return _body(row, names)
    # A switch of the whole installation holds other tenants' effects as well.
    scope = tenancy.within(person, nouns.Scope(**row.scope))
    found = await switch_impact.impact(store, scope)
    return _body(row, names, sending=found.sending)


def _body(
    row: SwitchRow,
    names: Mapping[str, str],
    *,
    sending: Sequence[str] = (),
    revoked: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> Switch:
    return Switch(
        **row.model_dump(exclude={"scope", "mode"}),
        scope=Scope(**row.scope),
        mode=row.mode,
        author_name=names.get(row.author, row.author),
        sending=list(sending),
        revoked=list(revoked),
        warnings=list(warnings),
    )
