"""Management of webhooks: add, rotate the secret, send a test."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, JsonValue

from keyturn.approvals.notify import address
from keyturn.approvals.notify.errors import NotDelivered
from keyturn.approvals.notify.webhook import Message, Poster
from keyturn.orchestrator.rules.errors import KeyturnError
from keyturn.orchestrator.rules.ids import new_id
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.notices import webhooks
from keyturn.orchestrator.store.notices.webhooks import NewWebhook
from keyturn.orchestrator.store.tables import WebhookRow


class NoSecretKey(KeyturnError):
    """Nothing can be signed: this web server has no secret key."""

    http_status: ClassVar[int] = 409


class Trial(BaseModel):
    """The result of a test notice."""

    model_config = ConfigDict(frozen=True)

    delivered: bool
    status: int | None = None
    error: str | None = None


async def add(
    settings: Settings, store: Store, new: NewWebhook, *, by: str
) -> tuple[WebhookRow, str]:
    """Add a webhook; return it with its secret, which is shown only once."""
    address.check(new.url, private=settings.webhook_private)
    key = _key(settings)
    row = await webhooks.add(store, new, by=by)
    return row, webhooks.secret_of(key, row.id, row.seed)


async def rotate(
    settings: Settings, store: Store, webhook: str, *, tenant: str | None, by: str
) -> tuple[WebhookRow, str]:
    """Give a webhook a new secret; return both, the secret is shown only once."""
    key = _key(settings)
    row = await webhooks.rotate(store, webhook, tenant=tenant, by=by)
    return row, webhooks.secret_of(key, row.id, row.seed)


async def attempt(
    settings: Settings, store: Store, webhook: str, *, tenant: str | None
) -> Trial:
    """Post one notice of the kind `webhook.test` now; return the result."""
    key = _key(settings)
    async with store.read() as session:
        row = await webhooks.get(session, webhook, tenant=tenant)
        now = await session.read_clock()
    told: dict[str, JsonValue] = {
        "type": "webhook.test",
        "timestamp": now.isoformat(),
        "data": {"webhook": row.id},
    }
    message = Message(
        id=new_id("msg"),
        url=row.url,
        body=canonical.text(told),
        secrets=tuple(webhooks.secrets_of(key, row, now=now)),
    )
    poster = Poster(private=settings.webhook_private)
    try:
        return Trial(delivered=True, status=await poster.post(message))
    except NotDelivered as error:
        return Trial(delivered=False, error=str(error))
    finally:
        await poster.close()


def _key(settings: Settings) -> str:
    if settings.secret_key is None:
        raise NoSecretKey(
            "KEYTURN_SECRET_KEY is not set for this web server, so no webhook can be "
            "signed. Set it and restart the server."
        )
    return settings.secret_key.get_secret_value()
