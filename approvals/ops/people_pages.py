"""The pages about people: the list, and one account."""

from dataclasses import dataclass
from typing import Annotated, get_args

from fastapi import Depends
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from keyturn.approvals.api import tokens as token_body
from keyturn.approvals.auth import dual_control, permissions, reauthentication
from keyturn.approvals.auth.passwords import SHORTEST
from keyturn.approvals.auth.visitor import require
from keyturn.approvals.web.flash import Flash
from keyturn.approvals.web.page import Page, PageDep
from keyturn.approvals.web.page_links import cut, turning
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.clock import system_clock
from keyturn.orchestrator.rules.policy.rules import APPROVER_RANK, Role
from keyturn.orchestrator.store.approvals import reassignment
from keyturn.orchestrator.store.dual_control import proposals
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people import revocation, tokens
from keyturn.orchestrator.store.tables import PersonRow
from keyturn.orchestrator.store.tenants import tenants

ROLES = get_args(Role)
MOST = 500
PAGE = 100
PROPOSALS = 20
ABOUT_PEOPLE = tuple(
    kind for kind in dual_control.NEEDS if kind.startswith(("person.", "tenant."))
)


class GivenAway(BaseModel):
    """The number of reassigned items, and those that stayed, with the reason."""

    given: int
    stayed: list[tuple[str, str]]


async def accounts_page(
    page: Page, manager: Person, *, problem: str = "", flash: Flash | None = None
) -> HTMLResponse:
    """Return the page of all accounts, with the result of its form."""
    asked = page.request.query_params
    async with page.parts.store.read() as session:
        found = await person_accounts.listing(
            session,
            tenant=manager.tenant,
            limit=PAGE + 1,
            after=asked.get("after") or None,
        )
        total = await person_accounts.total(session, tenant=manager.tenant)
        known = await tenants.declared(session)
        await session.read_clock()
        waiting = await proposals.listing(
            session,
            proposals.Filter(manager.tenant, is_open=True, kinds=ABOUT_PEOPLE),
            before=asked.get("asked") or None,
            limit=PROPOSALS + 1,
        )
    waiting, last_asked = cut(waiting, PROPOSALS)
    rows, last = cut(found, PAGE)
    return await page.show(
        "ops/people.html",
        pages=turning(asked, last.id if last else None, name="after"),
        status=422 if problem else 200,
        rows=sorted(rows, key=lambda one: (one.disabled_at is not None, one.name)),
        roles=ROLES,
        problem_words=problem,
        flash=flash,
        tenants=[one for one in known if manager.tenant in (None, one)],
        declares=page.may("tenants.declare"),
        total=total,
        proposals=waiting if page.may("proposals.read") else [],
        pages_of_proposals=turning(
            asked, last_asked.id if last_asked else None, name="asked"
        ),
    )


def _decides(row: PersonRow) -> bool:
    """Tell whether a person can be assigned items at all; each asks for its role."""
    is_open = row.kind == "person" and row.disabled_at is None
    return is_open and row.role in APPROVER_RANK


Manager = Annotated[Person, Depends(require("people.manage"))]


@dataclass(frozen=True)
class Managed:
    """An account of somebody else, on whose page its manager is."""

    page: PageDep
    manager: Manager
    person: str


ManagedDep = Annotated[Managed, Depends()]


async def account_page(
    of: Managed,
    *,
    problem: str = "",
    plain: str | None = None,
    came: GivenAway | None = None,
) -> HTMLResponse:
    """Return the page of one account, with the result of its form."""
    page, manager, person = of.page, of.manager, of.person
    async with page.parts.store.read() as session:
        row = await person_accounts.get(session, person, tenant=manager.tenant)
        found = await tokens.listing(session, person)
        held = await reassignment.held_by(session, person, tenant=manager.tenant)
        others = await person_accounts.listing(
            session, tenant=manager.tenant, limit=MOST
        )
        await session.read_clock()
        ending = await revocation.live(session, person)
        own = await person_accounts.get(session, manager.id)
    as_person = Person(
        id=row.id, name=row.name, role=row.role, kind=row.kind, session=""
    )
    return await page.show(
        "ops/person.html",
        status=422 if problem else 200,
        person=row,
        granted=permissions.granted(as_person),
        tokens=[token_body.body(one, kind=row.kind) for one in found],
        ending=[one.name for one in ending],
        has_own_password=own.password_hash is not None,
        is_fresh=reauthentication.seems_fresh(page.request, page.parts),
        roles=ROLES,
        shortest=SHORTEST,
        plain=plain,
        problem_words=problem,
        held=held,
        others=[one for one in others if _decides(one) and one.id != person],
        came=came,
        now=system_clock(),
    )
