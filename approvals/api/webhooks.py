"""Webhooks: add, list, test, remove; secrets are shown once."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from keyturn.approvals.api.fields import Line, PathId
from keyturn.approvals.api.idempotency import ONCE
from keyturn.approvals.api.pages import Page, Paged, page
from keyturn.approvals.api.replies import BODY, ONE, STATE
from keyturn.approvals.auth.visitor import require
from keyturn.approvals.notify import hooks
from keyturn.approvals.notify.hooks import Trial
from keyturn.approvals.web import routing, tenancy
from keyturn.approvals.web.dependencies import PartsDep, StoreDep
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.notice import NoticeKind
from keyturn.orchestrator.store.notices import webhooks
from keyturn.orchestrator.store.notices.webhooks import NewWebhook
from keyturn.orchestrator.store.tables import WebhookRow

router = routing.of_api("webhooks")

Manager = Annotated[Person, Depends(require("webhooks.manage"))]
Looker = Annotated[Person, Depends(require("notices.manage"))]


class AddWebhook(BaseModel):
    """A webhook to add; without `events` it gets all kinds, without `tenant` all tenants."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(pattern=r"^[!-~]{1,2000}$", description="`https://…`")
    events: list[NoticeKind] = Field(default_factory=list[NoticeKind], max_length=20)
    tenant: Line | None = None
    with_arguments: StrictBool = Field(
        default=False,
        description="Include the arguments of actions, which contain customers' data",
    )


class Webhook(BaseModel):
    """A webhook; until `old_secret_until` notices are signed with both secrets."""

    model_config = ConfigDict(frozen=True)

    id: str
    url: str
    events: list[str]
    tenant: str | None
    with_arguments: bool
    created_by: str
    created_at: datetime
    disabled_at: datetime | None
    disabled_because: str | None
    old_secret_until: datetime | None


class WebhookWithSecret(Webhook):
    """A webhook with its secret, which is shown only once."""

    secret: str = Field(
        description="`whsec_…`; verify with a Standard Webhooks library"
    )


class WebhookQuery(Paged):
    """A filter of webhooks."""


@router.get("/webhooks")
async def list_webhooks(
    person: Looker, store: StoreDep, wanted: Annotated[WebhookQuery, Query()]
) -> Page[Webhook]:
    """List webhooks, by id."""
    async with store.read() as session:
        rows = await webhooks.listing(
            session, tenant=person.tenant, limit=wanted.one_more, after=wanted.cursor
        )
    return page([_body(row) for row in rows], wanted, lambda one: one.id)


# Its answer holds a secret, so it is not kept under an `Idempotency-Key`.
@router.post("/webhooks", status_code=201, responses={**BODY, **STATE})
async def add_webhook(
    wanted: AddWebhook, person: Manager, parts: PartsDep
) -> WebhookWithSecret:
    """Add a webhook; its secret is only in this response."""
    tenant = wanted.tenant
    if person.tenant is not None or tenant is not None:
        tenant = await tenancy.of_new(parts.store, person, wanted.tenant)
    new = NewWebhook(
        **wanted.model_dump(exclude={"tenant", "events"}),
        tenant=tenant,
        events=tuple(wanted.events),
    )
    row, secret = await hooks.add(parts.settings, parts.store, new, by=person.id)
    return _with_secret(row, secret)


@router.get("/webhooks/{id}", responses=ONE)
async def show_webhook(id: PathId, person: Looker, store: StoreDep) -> Webhook:  # noqa: A002 the path's name
    """Show a webhook."""
    async with store.read() as session:
        return _body(await webhooks.get(session, id, tenant=person.tenant))


@router.delete("/webhooks/{id}", responses=ONE)
async def remove_webhook(id: PathId, person: Manager, store: StoreDep) -> Webhook:  # noqa: A002 the path's name
    """Remove a webhook and its pending notices; return the removed webhook."""
    async with store.read() as session:
        row = await webhooks.get(session, id, tenant=person.tenant)
    await webhooks.remove(store, id, tenant=person.tenant, by=person.id)
    return _body(row)


@router.post("/webhooks/{id}:rotate", responses={**ONE, **STATE})
async def rotate_webhook(
    id: PathId,  # noqa: A002 the path's name
    person: Manager,
    parts: PartsDep,
) -> WebhookWithSecret:
    """Give a webhook a new secret; for a day notices are signed with both."""
    row, secret = await hooks.rotate(
        parts.settings, parts.store, id, tenant=person.tenant, by=person.id
    )
    return _with_secret(row, secret)


@router.post("/webhooks/{id}:enable", dependencies=ONCE, responses={**ONE, **STATE})
async def enable_webhook(id: PathId, person: Manager, store: StoreDep) -> Webhook:  # noqa: A002 the path's name
    """Enable a disabled webhook."""
    return _body(await webhooks.enable(store, id, tenant=person.tenant, by=person.id))


@router.post("/webhooks/{id}:test", responses={**ONE, **STATE})
async def test_webhook(id: PathId, person: Manager, parts: PartsDep) -> Trial:  # noqa: A002 the path's name
    """Post a notice of the kind `webhook.test` now; return the result."""
    return await hooks.attempt(parts.settings, parts.store, id, tenant=person.tenant)


def _body(row: WebhookRow) -> Webhook:
    return Webhook(
        **row.model_dump(exclude={"seed", "old_seed", "old_until"}),
        old_secret_until=row.old_until,
    )


def _with_secret(row: WebhookRow, secret: str) -> WebhookWithSecret:
    return WebhookWithSecret(**_body(row).model_dump(), secret=secret)
