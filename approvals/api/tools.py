"""Tools: what models may call, and what each tool may do."""

from collections.abc import Iterable
from typing import Annotated

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from keyturn.approvals.api.contracts import seconds
from keyturn.approvals.api.pages import Page, Paged, page
from keyturn.approvals.api.replies import ONE
from keyturn.approvals.web import routing
from keyturn.approvals.web.dependencies import StoreDep
from keyturn.approvals.web.tenancy import Reader
from keyturn.orchestrator.rules.contract.release import Release, ToolSpec
from keyturn.orchestrator.rules.contract.tool import Audience, Authority
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.releases import releases

router = routing.of_api("tools")


class Tool(BaseModel):
    """A tool of the live releases; `money` `()` means that its code computes it."""

    model_config = ConfigDict(frozen=True)

    name: str
    description: str
    authority: Authority
    owner: str
    workflows: list[str] = Field(description="The workflows that are granted it")
    parameters: dict[str, JsonValue] = Field(description="JSON Schema")
    result: dict[str, JsonValue] = Field(description="JSON Schema")
    subject: str | None
    money: str | None
    audience: Audience
    corpora: list[str]
    has_preview: bool
    has_reconcile: bool
    idempotency_window_s: int | None
    undo_s: int


class ToolQuery(Paged):
    """Tools are few; they come in one page."""


@router.get("/tools")
async def list_tools(
    person: Reader, store: StoreDep, wanted: Annotated[ToolQuery, Query()]
) -> Page[Tool]:
    """List every tool that a workflow is granted, by name."""
    del person
    found = await _tools(store)
    later = [one for one in found if one.name > (wanted.cursor or "")]
    return page(later, wanted, lambda one: one.name)


@router.get("/tools/{name}", responses=ONE)
async def show_tool(
    name: Annotated[str, Path(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,199}$")],
    person: Reader,
    store: StoreDep,
) -> Tool:
    """Show one tool."""
    del person
    found = await _tools(store)
    for tool in found:
        if tool.name == name:
            return tool
    raise NotFound(kind="tool", name=name, known=tuple(one.name for one in found))


async def _tools(store: Store) -> list[Tool]:
    async with store.read() as session:
        live = await releases.all_live(session)
    specs = {spec.name: spec for _, release in live for spec in release.tools}
    return [_body(specs[name], live) for name in sorted(specs)]


def _body(spec: ToolSpec, live: Iterable[tuple[str, Release]]) -> Tool:
    window = spec.idempotency_window
    shared = spec.model_dump(exclude={"idempotency_window", "undo", "corpora"})
    return Tool(
        **shared,
        corpora=list(spec.corpora),
        workflows=[
            name
            for name, release in live
            if any(one.name == spec.name for one in release.tools)
        ],
        idempotency_window_s=None if window is None else seconds(window),
        undo_s=seconds(spec.undo),
    )
