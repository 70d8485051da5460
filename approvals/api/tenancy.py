"""Whose objects a person sees: their tenant's, or everybody's."""

from typing import Annotated

from fastapi import Depends

from approvals.api.text import Line, PathId
from approvals.auth.visitor import require
from approvals.dependencies import StoreDep
from approvals.errors import MayNot
from orchestrator.store import timeline
from orchestrator.store.approvals import Person
from orchestrator.store.tables import RunRow

DEFAULT_TENANT = "default"

Reader = Annotated[Person, Depends(require("read"))]
Decider = Annotated[Person, Depends(require("approvals.decide"))]


def of_new(person: Person, wanted: str | None) -> str:
    """Return the tenant of what this person starts, or raise `MayNot`."""
    if person.tenant is None:
        return wanted or DEFAULT_TENANT
    if wanted not in (None, person.tenant):
        raise MayNot(
            f"You belong to the tenant {person.tenant!r}; you may start nothing for "
            f"{wanted!r}."
        )
    return person.tenant


def of_list(person: Person, wanted: Line | None) -> str | None:
    """Return the tenant to list; None for every tenant.

    Where a person asks for another tenant's, no tenant has this name: the list is
    empty, and does not tell whether that tenant exists.
    """
    if person.tenant is None:
        return wanted
    return person.tenant if wanted in (None, person.tenant) else NOBODYS


# No tenant has an empty name: `POST /runs` and accounts refuse it.
NOBODYS = ""


async def visible_run(id: PathId, person: Reader, store: StoreDep) -> RunRow:  # noqa: A002 the path's name
    """Return the run of the path, or raise `NotFound`, also for another tenant's."""
    async with store.read() as session:
        return await timeline.of_tenant(session, id, tenant=person.tenant)


VisibleRun = Annotated[RunRow, Depends(visible_run)]
