"""Releases by hash: the configuration that runs are pinned to (P11)."""

from datetime import datetime
from typing import Annotated

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from keyturn.approvals.api.fields import Slug
from keyturn.approvals.api.pages import Page, Paged, page
from keyturn.approvals.api.replies import ONE
from keyturn.approvals.web import routing
from keyturn.approvals.web.dependencies import StoreDep
from keyturn.approvals.web.tenancy import Reader
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.tables import ReleaseRow

router = routing.of_api("releases")

HASH_PATTERN = "^[0-9a-f]{64}$"


class Release(BaseModel):
    """One release; `is_live`: new runs of its workflow use it."""

    model_config = ConfigDict(frozen=True)

    hash: str
    workflow: str
    code_version: str
    created_at: datetime
    live_since: datetime | None
    is_live: bool


class WholeRelease(Release):
    """A release with its contents."""

    content: dict[str, JsonValue]


class ReleaseQuery(Paged):
    """A filter of releases."""

    cursor: str | None = Field(
        default=None, pattern=HASH_PATTERN, description="`next` of the previous page"
    )
    workflow: Slug | None = None


@router.get("/releases")
async def list_releases(
    person: Reader, store: StoreDep, wanted: Annotated[ReleaseQuery, Query()]
) -> Page[Release]:
    """List releases, newest first."""
    del person
    async with store.read() as session:
        rows = await releases.listing(
            session,
            workflow=wanted.workflow,
            limit=wanted.one_more,
            before=wanted.cursor,
        )
        live = await releases.live_hashes(session)
    found = [_body(row, live) for row in rows]
    return page(found, wanted, lambda one: one.hash)


@router.get("/releases/{hash}", responses=ONE)
async def show_release(
    hash: Annotated[str, Path(pattern=HASH_PATTERN)],  # noqa: A002 the path's name
    person: Reader,
    store: StoreDep,
) -> WholeRelease:
    """Show a release with its prompts, rules, tools and models."""
    del person
    async with store.read() as session:
        row = await releases.get(session, hash)
        live = await releases.live_hashes(session)
    return WholeRelease(**_body(row, live).model_dump(), content=row.content)


def _body(row: ReleaseRow, live: frozenset[str]) -> Release:
    return Release(**row.model_dump(exclude={"content"}), is_live=row.hash in live)
