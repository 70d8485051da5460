"""All accounts, for those who manage people."""

from typing import Annotated, Literal

from fastapi import Depends, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, Field, JsonValue, ValidationError

from keyturn.approvals.api.fields import Line
from keyturn.approvals.api.tokens import LONGEST_DAYS, Asker, MakeToken, make, managed
from keyturn.approvals.auth import accounts, permissions, reauthentication
from keyturn.approvals.auth.accounts import LONGEST_PASSWORD
from keyturn.approvals.auth.visitor import require
from keyturn.approvals.ops import people_pages
from keyturn.approvals.ops.people_pages import GivenAway, Managed, ManagedDep, Manager
from keyturn.approvals.view.wording import sentence
from keyturn.approvals.web import routing, shown_once
from keyturn.approvals.web.errors import MayNot
from keyturn.approvals.web.flash import Flash
from keyturn.approvals.web.page import Page, PageDep
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.errors import (
    InvalidValue,
    KeyturnError,
    NotFound,
    in_words,
)
from keyturn.orchestrator.rules.policy.rules import Role
from keyturn.orchestrator.rules.text import plain_text
from keyturn.orchestrator.store.approvals import reassignment
from keyturn.orchestrator.store.db import form_results
from keyturn.orchestrator.store.dual_control import requests
from keyturn.orchestrator.store.dual_control.errors import (
    NeedsSecondPerson,
    NobodyElseConfirms,
)
from keyturn.orchestrator.store.people import access, tokens
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people.access import Change
from keyturn.orchestrator.store.people.accounts import NewPerson, Profile
from keyturn.orchestrator.store.people.errors import EmailTaken, LastAdmin, OwnAccess
from keyturn.orchestrator.store.tables import PersonRow, ProposalRow
from keyturn.orchestrator.store.tenants.errors import TenantDeclared
from keyturn.orchestrator.store.tenants.tenants import NewTenant

router = routing.of_pages()

# Errors that the person can correct: shown on the page that sent the form.
REFUSALS = (
    MayNot,
    OwnAccess,
    LastAdmin,
    EmailTaken,
    InvalidValue,
    NobodyElseConfirms,
    NeedsSecondPerson,
)
Why = Annotated[str, Form(max_length=500)]
Sure = Annotated[str, Form(max_length=3)]
NOT_SURE = (
    "This reduces access at once, and restoring it takes another admin. Tick the box "
    "to confirm that, and send it again."
)
SAID = {
    "asked": Flash("Proposed", "Nothing is changed until another admin confirms it."),
    "confirm": Flash("Confirmed", "The change is in effect."),
    "decline": Flash("Declined", "Nothing was changed."),
    "withdraw": Flash("Withdrawn", "Nothing was changed."),
}

# Kinds of form results that the page shows.
MADE = "a token of a service"
ITEMS = "items given away"


class Invitation(BaseModel):
    """The form that opens an account."""

    name: Annotated[str, Field(max_length=200)] = ""
    email: Annotated[str, Field(max_length=300)] = ""
    role: Annotated[str, Field(max_length=20)] = ""
    tenant: Annotated[str, Field(max_length=200)] = ""
    kind: Literal["person", "service"] = "person"
    reason: Annotated[str, Field(max_length=500)] = ""

    def wanted(self) -> dict[str, str | None]:
        """Return the fields of a `NewPerson`, which refuses a wrong one with words."""
        return {
            "name": self.name.strip(),
            "email": self.email.strip(),
            "role": self.role,
            "kind": self.kind,
            "tenant": self.tenant.strip() or None,
        }


@router.get("/settings/people")
async def listing(page: PageDep, manager: Manager, said: str = "") -> HTMLResponse:
    """Show all accounts that this person manages, and pending proposals."""
    return await people_pages.accounts_page(page, manager, flash=SAID.get(said))


@router.post("/settings/people")
async def invite(
    page: PageDep, manager: Manager, form: Annotated[Invitation, Form()]
) -> Response:
    """Open an account, or propose it."""
    why = plain_text.trimmed(form.reason) or None
    try:
        new = NewPerson.model_validate(form.wanted())
        row = await accounts.invite(page.parts.store, new, by=manager, reason=why)
    except ValidationError as error:
        first = error.errors()[0]
        words = f"{first['loc'][0]}: {in_words(first)}. Correct it and try again."
        return await people_pages.accounts_page(page, manager, problem=words)
    except REFUSALS as error:
        return await people_pages.accounts_page(page, manager, problem=str(error))
    return _done(page, row)


@router.get("/settings/people/{person}")
async def show(of: ManagedDep, made: str = "", came: str = "") -> HTMLResponse:
    """Show one account, a new token once, and the result of reassigning its items."""
    plain = await shown_once.read(of.page, made, kind=MADE)
    given = await _given(of.page, came) if came else None
    shown = await people_pages.account_page(of, plain=plain, came=given)
    shown_once.forget(of.page, shown)
    return shown


@router.post("/settings/people/{person}/profile")
async def describe(
    of: ManagedDep,
    name: Annotated[Line, Form()],
    teams: Annotated[str, Form(max_length=2_000)] = "",
    languages: Annotated[str, Form(max_length=2_000)] = "",
) -> Response:
    """Change name, teams and languages."""
    try:
        profile = Profile(name=name, teams=_labels(teams), languages=_labels(languages))
    except ValidationError:
        words = "Teams and languages: write at most 50 of each, separated by commas, each with at most 60 characters."
        return await people_pages.account_page(of, problem=words)
    await person_accounts.describe(
        of.page.parts.store,
        of.person,
        profile,
        by=of.manager.id,
        tenant=of.manager.tenant,
    )
    return _back(of.person)


@router.post("/settings/people/{person}/access")
async def set_access(
    of: ManagedDep,
    role: Annotated[Role, Form()],
    tenant: Annotated[str, Form(max_length=200)] = "",
    reason: Why = "",
    sure: Sure = "",
) -> Response:
    """Change role and tenant, or propose it."""
    wanted = Change(role=role, tenant=tenant.strip() or None)
    try:
        if sure != "yes" and await _takes_away(of, wanted):
            raise InvalidValue(NOT_SURE)
        done = await accounts.set_access(
            of.page.parts.store,
            of.person,
            wanted,
            by=of.manager,
            reason=plain_text.trimmed(reason) or None,
        )
    except REFUSALS as error:
        return await people_pages.account_page(of, problem=str(error))
    return _done(of.page, done)


@router.post("/settings/people/{person}/password")
async def set_password(
    of: ManagedDep,
    password: Annotated[str, Form(max_length=2_000)] = "",
    sure: Sure = "",
) -> Response:
    """Propose a new password for an account; without one, remove it at once."""
    try:
        if not password and sure != "yes":
            raise InvalidValue(NOT_SURE)
        done = await accounts.reset_password(
            of.page.parts.store, of.person, password or None, by=of.manager
        )
    except REFUSALS as error:
        return await people_pages.account_page(of, problem=str(error))
    return _done(of.page, done)


@router.post("/settings/people/{person}/open")
async def set_open(
    of: ManagedDep,
    wanted: Annotated[Literal["open", "closed"], Form()],
    reason: Why = "",
    sure: Sure = "",
) -> Response:
    """Close an account, or propose to reopen it."""
    store, why = of.page.parts.store, plain_text.trimmed(reason) or None
    try:
        if wanted == "open":
            done = await accounts.reopen(store, of.person, by=of.manager, reason=why)
        elif sure != "yes":
            raise InvalidValue(NOT_SURE)
        else:
            done = await accounts.close(store, of.person, by=of.manager)
    except REFUSALS as error:
        return await people_pages.account_page(of, problem=str(error))
    return _done(of.page, done)


@router.post("/settings/people/{person}/items")
async def hand_over(
    of: ManagedDep,
    reason: Annotated[str, Form(min_length=1, max_length=500)],
    to: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Reassign all items of a person to another one, or return them to the queues."""
    permissions.check(of.manager, "approvals.assign")
    try:
        came = await reassignment.move_all(
            of.page.parts.store, of.manager, of.person, to=to or None, reason=reason
        )
    except (NotFound, InvalidValue) as error:
        return await people_pages.account_page(of, problem=sentence(error))
    stayed: list[JsonValue] = [
        [item, str(why)] for item, why in came if isinstance(why, KeyturnError)
    ]
    result = await form_results.save(
        of.page.parts.store,
        person=of.manager.id,
        kind=ITEMS,
        result={"given": len(came) - len(stayed), "stayed": stayed},
    )
    return RedirectResponse(
        f"/settings/people/{of.person}?came={result}", status_code=303
    )


@router.post("/settings/tenants")
async def declare_tenant(
    page: PageDep,
    declarer: Annotated[Person, Depends(require("tenants.declare"))],
    name: Annotated[str, Form(max_length=200)],
    reason: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Propose a tenant."""
    try:
        new = NewTenant(name=name.strip())
        why = reason.strip() or accounts.NO_REASON
        row = await requests.to_declare(page.parts.store, new, declarer, reason=why)
    except ValidationError:
        words = f"tenant {name!r}: use only letters, digits and . _ -"
        return await people_pages.accounts_page(page, declarer, problem=words)
    except (*REFUSALS, TenantDeclared) as error:
        return await people_pages.accounts_page(page, declarer, problem=str(error))
    return _done(page, row)


@router.post("/settings/people/{person}/tokens")
async def make_token(
    of: ManagedDep,
    name: Annotated[Line, Form(max_length=100)],
    days: Annotated[int, Form(ge=1, le=LONGEST_DAYS)] = 90,
    bound: Annotated[str, Form(max_length=2_000)] = "",
    password: Annotated[str, Form(max_length=2_000)] = "",
) -> Response:
    """Create a service's token, and redirect to the page that shows it once."""
    owner = await managed(of.page.parts.store, of.person, of.manager)
    try:
        wanted = MakeToken(
            name=name,
            scopes=permissions.granted(owner),
            tenants=list(_labels(bound)),
            days=days,
            password=password[:LONGEST_PASSWORD],
        )
        made = await make(
            Asker(of.page.request, of.page.parts, of.page.visitor), owner, wanted
        )
    except ValidationError as error:
        words = f"Tenants: {in_words(error.errors()[0])}."
        return await people_pages.account_page(of, problem=words)
    except KeyturnError as error:
        return await people_pages.account_page(of, problem=sentence(error))
    path = f"/settings/people/{of.person}?made="
    shown = await shown_once.redirect(of.page, path, kind=MADE, secret=made.secret)
    reauthentication.forget(shown, of.page.parts)
    return shown


@router.post("/settings/people/{person}/tokens/{token}/revoke")
async def revoke_token(of: ManagedDep, token: str) -> RedirectResponse:
    """Revoke somebody's token."""
    owner = await managed(of.page.parts.store, of.person, of.manager)
    await tokens.revoke(of.page.parts.store, token, by=of.manager.id, person=owner.id)
    return _back(of.person)


async def _takes_away(of: Managed, wanted: Change) -> bool:
    """Tell whether one person may make a change that takes two to undo."""
    manager = of.manager
    async with of.page.parts.store.read() as session:
        row = await person_accounts.get(session, of.person, tenant=manager.tenant)
    before, after = access.of(row), wanted.of(row)
    # People cannot reduce their own access: that error is shown instead.
    return (
        row.id != manager.id and after != before and not access.is_more(before, after)
    )


async def _given(page: Page, result: str) -> GivenAway:
    found = await form_results.find(
        page.parts.store, person=page.visitor.person.id, kind=ITEMS, result=result
    )
    return GivenAway.model_validate(found)


def _labels(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.strip() for one in text.split(",") if one.strip()))


def _done(page: Page, row: PersonRow | ProposalRow) -> RedirectResponse:
    if isinstance(row, PersonRow):
        return _back(row.id)
    page.parts.deliver_soon()
    return RedirectResponse("/settings/people?said=asked", status_code=303)


def _back(person: str) -> RedirectResponse:
    return RedirectResponse(f"/settings/people/{person}", status_code=303)
