"""Webhooks: where notices are posted, and the secrets that sign them."""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict
from sqlmodel import col, select

from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.ids import new_id
from keyturn.orchestrator.rules.notice import NoticeKind
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.notices import queue
from keyturn.orchestrator.store.tables import WebhookRow

# After a rotation both secrets sign for a day, as Standard Webhooks specifies.
BOTH_FOR = timedelta(days=1)
PREFIX = "whsec_"


class NewWebhook(BaseModel):
    """A webhook to add; no `events` means every kind, no `tenant` every tenant."""

    model_config = ConfigDict(frozen=True)

    url: str
    events: tuple[NoticeKind, ...] = ()
    tenant: str | None = None
    with_arguments: bool = False


async def add(store: Store, new: NewWebhook, *, by: str) -> WebhookRow:
    """Add a webhook and return it."""
    async with store.write() as session:
        now = await session.read_clock()
        row = WebhookRow(
            id=new_id("hook"),
            url=new.url,
            seed=secrets.token_hex(16),
            tenant=new.tenant,
            events=list(new.events),
            with_arguments=new.with_arguments,
            created_by=by,
            created_at=now,
        )
        session.add(row)
        _record(session, "webhook.added", row, by)
        return row


async def get(session: Tx, webhook: str, *, tenant: str | None = None) -> WebhookRow:
    """Return the webhook, or raise `NotFound`, also for another tenant's."""
    row = await session.get(WebhookRow, webhook)
    if row is None or tenant not in (None, row.tenant):
        raise NotFound(kind="webhook", name=webhook)
    return row


async def listing(
    session: Tx,
    *,
    tenant: str | None = None,
    limit: int = 200,
    after: str | None = None,
) -> list[WebhookRow]:
    """Return webhooks, by id."""
    query = select(WebhookRow).order_by(col(WebhookRow.id)).limit(limit)
    if tenant is not None:
        query = query.where(col(WebhookRow.tenant) == tenant)
    if after is not None:
        query = query.where(col(WebhookRow.id) > after)
    return list((await session.execute(query)).scalars())


async def enabled(session: Tx) -> list[WebhookRow]:
    """Return the webhooks to which notices are posted."""
    query = select(WebhookRow).where(col(WebhookRow.disabled_at).is_(None))
    return list((await session.execute(query)).scalars())


async def remove(store: Store, webhook: str, *, tenant: str | None, by: str) -> None:
    """Remove a webhook, and what was on its way there."""
    async with store.write() as session:
        row = await get(session, webhook, tenant=tenant)
        await session.read_clock()
        await queue.drop(session, webhook)
        await session.delete(row)
        _record(session, "webhook.removed", row, by)


async def rotate(
    store: Store, webhook: str, *, tenant: str | None, by: str
) -> WebhookRow:
    """Give a webhook a new secret; for a day, the old one signs too."""
    async with store.write() as session:
        row = await get(session, webhook, tenant=tenant)
        await session.refresh(row, with_for_update=True)
        now = await session.read_clock()
        row.old_seed, row.old_until = row.seed, now + BOTH_FOR
        row.seed = secrets.token_hex(16)
        _record(session, "webhook.rotated", row, by)
        return row


async def enable(
    store: Store, webhook: str, *, tenant: str | None, by: str
) -> WebhookRow:
    """Post to a webhook again that was disabled."""
    async with store.write() as session:
        row = await get(session, webhook, tenant=tenant)
        await session.read_clock()
        if row.disabled_at is not None:
            row.disabled_at = row.disabled_because = None
            _record(session, "webhook.enabled", row, by)
        return row


async def disable(store: Store, webhook: str, *, because: str) -> None:
    """Stop posting to a webhook; notices on their way there become dead letters."""
    async with store.write() as session:
        row = await session.get(WebhookRow, webhook)
        if row is None or row.disabled_at is not None:
            return
        now = await session.read_clock()
        row.disabled_at, row.disabled_because = now, because
        await queue.give_up(session, webhook, error=because)
        _record(session, "webhook.disabled", row, "system")


def secret_of(key: str, webhook: str, seed: str) -> str:
    """Return the secret of a webhook: `whsec_…`, from our key and its seed."""
    words = f"webhook:{webhook}:{seed}".encode()
    made = hmac.new(key.encode(), words, hashlib.sha256).digest()
    return PREFIX + base64.b64encode(made).decode()


def secrets_of(key: str, row: WebhookRow, *, now: datetime) -> list[str]:
    """Return the secrets that sign now, the newest first."""
    seeds = [row.seed]
    if row.old_seed is not None and row.old_until is not None and row.old_until > now:
        seeds.append(row.old_seed)
    return [secret_of(key, row.id, seed) for seed in seeds]


def _record(session: Tx, kind: str, row: WebhookRow, by: str) -> None:
    log.record(
        session,
        log.Entry(
            actor=by,
            kind=kind,
            tenant=row.tenant,
            subject=row.id,
            payload={
                # A path may contain a receiver's own secret.
                "host": urlsplit(row.url).netloc,
                "events": list(row.events),
                "with_arguments": row.with_arguments,
                "because": row.disabled_because,
            },
        ),
        at=session.now,
    )
