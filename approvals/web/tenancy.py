"""The objects that a person sees: their tenant's, or all."""

from typing import Annotated

from fastapi import Depends

from keyturn.approvals.api.fields import Line, PathId
from keyturn.approvals.auth.visitor import NOBODYS, require
from keyturn.approvals.web.dependencies import StoreDep
from keyturn.approvals.web.errors import MayNot
from keyturn.orchestrator.rules.authority import switch
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.tables import RunRow, SwitchRow
from keyturn.orchestrator.store.tenants import tenants

Reader = Annotated[Person, Depends(require("read"))]
Decider = Annotated[Person, Depends(require("approvals.decide"))]


async def of_new(store: Store, person: Person, wanted: str | None) -> str:
    """Return the tenant of a new run; raises `MayNot` or `UndeclaredTenant`."""
    name = _wanted(person, wanted)
    async with store.read() as session:
        await tenants.check(session, name, sees_all=person.tenant is None)
    return name


def _wanted(person: Person, wanted: str | None) -> str:
    if person.tenants is not None:
        return _of_token(person, person.tenants, wanted)
    if person.tenant is None:
        return wanted or tenants.DEFAULT
    if wanted not in (None, person.tenant):
        raise MayNot(
            f"You belong to the tenant {person.tenant!r}, so you cannot start runs for "
            f"{wanted!r}."
        )
    return person.tenant


def _of_token(person: Person, own: tuple[str, ...], wanted: str | None) -> str:
    """Return the tenant that a service names, if its token is bound to it."""
    name = wanted or person.tenant or (own[0] if len(own) == 1 else None)
    if name is not None and name in own:
        return name
    names = ", ".join(own) or "no tenant"
    what = "name one of them" if name is None else f"it cannot start runs for {name!r}"
    raise MayNot(f"This token of {person.name} is bound to {names}; {what}.")


def of_list(person: Person, wanted: Line | None) -> str | None:
    """Return the tenant to list; None for every tenant.

    For another tenant returns a name that no tenant has: the list is empty, and does
    not reveal whether that tenant exists. Raises `MayNot` if a service with several
    tenants names none.
    """
    if person.tenants is not None and person.tenant == NOBODYS:
        return _of_token(person, person.tenants, wanted)
    if person.tenant is None:
        return wanted
    return person.tenant if wanted in (None, person.tenant) else NOBODYS


async def visible_run(id: PathId, person: Reader, store: StoreDep) -> RunRow:  # noqa: A002 the path's name
    """Return the path's run; raise `NotFound` if it is missing or another tenant's."""
    async with store.read() as session:
        row = await run_lookup.get(session, id)
    if not sees(person, row.tenant):
        raise NotFound(kind="run", name=id)
    return row


def sees(person: Person, tenant: str) -> bool:
    """Tell whether this person may see this tenant's objects."""
    if person.tenants is not None and person.tenant == NOBODYS:
        return tenant in person.tenants
    return person.tenant in (None, tenant)


VisibleRun = Annotated[RunRow, Depends(visible_run)]


def check_reach(person: Person, scope: switch.Scope) -> None:
    """Raise `MayNot` if a switch's scope reaches beyond the person's tenant."""
    if person.tenant is not None and scope.tenant != person.tenant:
        raise MayNot(
            f"You belong to the tenant {person.tenant!r}, and can set and lift only its "
            "switches. Name this tenant in the scope."
        )


def within(person: Person, scope: switch.Scope) -> switch.Scope:
    """Return the part of a scope that lies in the person's tenant."""
    if person.tenant is None:
        return scope
    return scope.model_copy(update={"tenant": person.tenant})


def sees_switch(person: Person, scope: switch.Scope) -> bool:
    """Tell whether a switch also holds the person's tenant."""
    return person.tenant is None or scope.tenant in (None, person.tenant)


async def visible_switch(session: Tx, name: str, person: Person) -> SwitchRow:
    """Return a switch; raise `NotFound` if it is missing or another tenant's."""
    row = await session.get(SwitchRow, name)
    if row is None or not sees_switch(person, switch.Scope(**row.scope)):
        raise NotFound(kind="switch", name=name)
    return row
