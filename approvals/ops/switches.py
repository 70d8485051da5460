"""Switches that are set, the impact of a new one, and used budgets."""

import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self

from fastapi import Depends, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, Field, ValidationError

from keyturn.approvals.auth import dual_control, permissions
from keyturn.approvals.auth.visitor import require
from keyturn.approvals.ops import switch_pages
from keyturn.approvals.web import problems, routing, tenancy
from keyturn.approvals.web.flash import Flash
from keyturn.approvals.web.page import Page, PageDep
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.authority.switch import Mode, Scope, Switch
from keyturn.orchestrator.rules.clock import system_clock
from keyturn.orchestrator.rules.errors import InvalidValue, NotFound, in_words
from keyturn.orchestrator.rules.status import BulkVerb
from keyturn.orchestrator.rules.text import plain_text
from keyturn.orchestrator.store.db import form_results
from keyturn.orchestrator.store.dual_control import requests
from keyturn.orchestrator.store.dual_control.errors import (
    NeedsSecondPerson,
    ProposalClosed,
)
from keyturn.orchestrator.store.people.errors import LastAdmin, OwnAccess
from keyturn.orchestrator.store.runs import bulk as run_bulk
from keyturn.orchestrator.store.runs.bulk import NewBulk
from keyturn.orchestrator.store.runs.errors import BulkEnded
from keyturn.orchestrator.store.runs.listing import Filter
from keyturn.orchestrator.store.switches import impact as switch_impact
from keyturn.orchestrator.store.switches import switches, unknown_names
from keyturn.orchestrator.store.switches.errors import UnknownNames
from keyturn.orchestrator.store.switches.switches import Barrier

router = routing.of_pages()

Operator = Annotated[Person, Depends(require("switches.set"))]
SAID = {
    "proposed": Flash(
        "Proposed to lift the switch",
        "It stays in effect until another person confirms.",
    ),
    "raise": Flash(
        "Proposed to raise the budget",
        "The runs that it stops wait until another person confirms.",
    ),
    "confirm": Flash(
        "Confirmed", "The change is in effect; runs that were held by it continue."
    ),
    "decline": Flash("Declined", "Nothing was changed."),
    "withdraw": Flash("Withdrawn", "Nothing was changed."),
}
# Kinds of proposals answered on this page; the others concern accounts.
OPERATED = ("switch.clear", "budget.raise")
FIELDS = ("workflow", "tool", "model", "provider", "tenant", "corpus")


Name = Annotated[str, Field(max_length=200)]


class ScopeForm(BaseModel):
    """The part of the form that says what a switch is for; empty fields match all."""

    workflow: Name = ""
    tool: Name = ""
    model: Name = ""
    provider: Name = ""
    tenant: Name = ""
    corpus: Name = ""

    def scope(self) -> Scope:
        """Return the scope that was typed."""
        typed = {name: str(getattr(self, name)).strip() for name in FIELDS}
        return Scope(**{name: value for name, value in typed.items() if value})


class SwitchForm(ScopeForm):
    """The form that sets a switch, as typed."""

    mode: Mode
    reason: Annotated[str, Field(max_length=500)] = ""
    value: Name = ""
    minutes: Annotated[str, Field(max_length=8)] = ""
    sure: Annotated[str, Field(max_length=3)] = ""
    anyway: bool = False


SET = "a switch that was set"
NOT_SURE = (
    "A switch takes effect at once, and lifting it takes two people. Tick the box to "
    "confirm that, and set it again."
)


class WasSet(BaseModel):
    """The result of setting a switch, at that moment."""

    scope: str
    sending: list[str]
    revoked: list[str]
    unknown: list[str]

    @classmethod
    def of(cls, barrier: Barrier, unknown: Iterable[str]) -> Self:
        """Return the result for the template."""
        return cls(
            scope=str(barrier.switch.scope),
            sending=list(barrier.sending),
            revoked=list(barrier.revoked),
            unknown=list(unknown),
        )


@router.get("/ops")
async def ops(page: PageDep, said: str = "", bulk: str = "") -> HTMLResponse:
    """Show active switches, the form to set one, and used budgets."""
    flash = SAID.get(said)
    if bulk:
        flash = await _begun(page, bulk)
    return await switch_pages.show(page, flash=flash)


DONE_TO: Mapping[str, str] = {
    "pause": "are paused",
    "resume": "are being resumed, at a limited rate",
    "cancel": "are cancelled; none of them starts sending any more",
}


async def _begun(page: Page, bulk: str) -> Flash | None:
    """Return the message about a bulk pause, resume or cancel."""
    async with page.parts.store.read() as session:
        try:
            row = await run_bulk.get(session, bulk, tenant=page.visitor.person.tenant)
        except NotFound:
            return None
    words = f"{row.total} runs {DONE_TO[row.verb]}."
    return Flash(words, "The progress of updating their records is shown below.")


@router.post("/ops/impact")
async def impact(
    page: PageDep, operator: Operator, form: Annotated[ScopeForm, Form()]
) -> HTMLResponse:
    """Return the impact of a switch of this scope, for an htmx swap."""
    scope = _of_person(operator, form.scope())
    found = await switch_impact.impact(page.parts.store, scope)
    return await page.part("ops/impact.html", impact=found, scope=scope)


@router.post("/ops/switches")
async def put(
    page: PageDep, operator: Operator, form: Annotated[SwitchForm, Form()]
) -> Response:
    """Set a switch, and show the effects that may still reach the provider."""
    scope = _of_person(operator, form.scope())
    try:
        _check_sure(form.sure)
        switch = _switch(operator, scope, form)
        unknown = await unknown_names.check(
            page.parts.store, switch, tenant=operator.tenant, anyway=form.anyway
        )
    except (InvalidValue, UnknownNames) as error:
        return await switch_pages.show(page, problem=str(error), status=422)
    barrier = await switches.put(page.parts.store, switch, warnings=unknown)
    result = await form_results.save(
        page.parts.store,
        person=operator.id,
        kind=SET,
        result=WasSet.of(barrier, unknown).model_dump(),
    )
    return RedirectResponse(f"/ops/set?of={result}", status_code=303)


@router.get("/ops/set")
async def was_set(page: PageDep, operator: Operator, of: str = "") -> Response:
    """Show the effects that a new switch held back and those that may still arrive."""
    if not of:
        return RedirectResponse("/ops", status_code=303)
    kept = await form_results.find(
        page.parts.store, person=operator.id, kind=SET, result=of
    )
    return await page.show("ops/barrier.html", was=WasSet.model_validate(kept))


@router.post("/ops/switches/{switch}/clear")
async def clear(
    page: PageDep,
    operator: Operator,
    switch: str,
    reason: Annotated[str, Form(min_length=1, max_length=500)],
) -> RedirectResponse:
    """Propose to lift a switch; it holds until another person confirms."""
    store = page.parts.store
    async with store.read() as session:
        row = await tenancy.visible_switch(session, switch, operator)
    tenancy.check_reach(operator, Scope(**row.scope))
    await requests.to_clear(store, switch, operator, reason=reason)
    return RedirectResponse("/ops?said=proposed", status_code=303)


@router.post("/ops/proposals/{proposal}")
async def answer(
    page: PageDep,
    proposal: str,
    answer: Annotated[Literal["confirm", "decline", "withdraw"], Form()],
    reason: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Answer a proposal, or show why the answer was refused."""
    person, parts = page.visitor.person, page.parts
    try:
        match answer:
            case "confirm":
                row = await dual_control.confirm(parts, proposal, person)
            case "decline":
                why = plain_text.trimmed(reason) or "no reason given"
                row = await dual_control.decline(parts, proposal, person, reason=why)
            case "withdraw":
                row = await dual_control.withdraw(parts, proposal, person)
    except (ProposalClosed, NeedsSecondPerson, OwnAccess, LastAdmin) as error:
        status = problems.of_error(error, instance="").problem.status
        return await switch_pages.show(page, problem=str(error), status=status)
    where = "/ops" if row.kind in OPERATED else "/settings/people"
    return RedirectResponse(f"{where}?said={answer}", status_code=303)


@router.post("/ops/bulks")
async def hold_all(
    page: PageDep,
    verb: Annotated[BulkVerb, Form()],
    workflow: Annotated[str, Form(max_length=200)],
    reason: Annotated[str, Form(max_length=500)] = "",
    customer: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Pause, resume or cancel all open runs of a workflow, or of a customer in it."""
    person = page.visitor.person
    permissions.check(person, "runs.hold_many")
    if not reason.strip():
        words = "Give a reason; it is shown on the runs."
        return await switch_pages.show(page, problem=words, status=422)
    wanted = Filter(
        workflow=workflow, customer=customer.strip() or None, tenant=person.tenant
    )
    new = NewBulk(
        verb=verb,
        filter=wanted,
        reason=reason.strip(),
        by=person.id,
        by_tenant=person.tenant,
    )
    row = await page.parts.bulk(new)
    return RedirectResponse(f"/ops?bulk={row.id}#bulks", status_code=303)


@router.post("/ops/bulks/{bulk}/stop")
async def stop_bulk(page: PageDep, bulk: str) -> Response:
    """Stop a bulk action: it reaches no more runs."""
    person = page.visitor.person
    permissions.check(person, "runs.hold_many")
    try:
        await run_bulk.stop(page.parts.store, bulk, by=person.id, tenant=person.tenant)
    except BulkEnded as error:
        return await switch_pages.show(page, problem=str(error), status=409)
    return RedirectResponse("/ops#bulks", status_code=303)


@router.get("/ops/bulks")
async def bulks(page: PageDep) -> HTMLResponse:
    """Return the progress of bulk actions, for an htmx swap."""
    return await page.part("ops/bulks.html", **await switch_pages.latest_bulks(page))


def _check_sure(sure: str) -> None:
    if sure != "yes":
        raise InvalidValue(NOT_SURE)


def _of_person(operator: Person, scope: Scope) -> Scope:
    """Return the scope; one without a tenant gets the person's own."""
    if scope.tenant is None:
        return tenancy.within(operator, scope)
    tenancy.check_reach(operator, scope)
    return scope


def _switch(operator: Person, scope: Scope, form: SwitchForm) -> Switch:
    reason, value = plain_text.trimmed(form.reason), form.value.strip()
    mode, minutes = form.mode, form.minutes
    if not reason:
        raise InvalidValue(
            "A switch needs a reason, so that others know why it was set."
        )
    if mode == "use_model" and not value:
        raise InvalidValue(
            "“Use another model” needs a model: write an alias or provider/model."
        )
    if minutes and not minutes.isdecimal():
        raise InvalidValue(
            f"“{minutes}” is not a number of minutes; write for example 90."
        )
    now = system_clock()
    try:
        return Switch(
            id=f"sw-{now:%m%d-%H%M}-{secrets.token_hex(3)}",
            scope=scope,
            mode=mode,
            value=value or None,
            reason=reason,
            author=operator.id,
            created_at=now,
            until=_until(now, minutes),
        )
    except ValidationError as error:
        raise InvalidValue(in_words(error.errors()[0])) from None


def _until(now: datetime, minutes: str) -> datetime | None:
    if not minutes or int(minutes) == 0:
        return None
    return (now + timedelta(minutes=min(int(minutes), 525_600))).astimezone(UTC)
