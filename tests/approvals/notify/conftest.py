"""A sender on a real record, with a mail server and a clock that a test moves."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP
from pydantic import SecretStr

from keyturn.approvals.notify.mail import Mailer
from keyturn.approvals.notify.sender import Sender
from keyturn.approvals.notify.webhook import Poster
from keyturn.orchestrator.cli.demo.mailbox import Acceptor, Box, Mail
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.notices import webhooks
from keyturn.orchestrator.store.notices.webhooks import NewWebhook
from keyturn.orchestrator.store.tables import WebhookRow
from tests.approvals.notify.receiver import Receiver
from tests.databases import patient

KEY = "the web process's own key"
SETTINGS = Settings(
    secret_key=SecretStr(KEY),
    public_url="https://keyturn.example",
    webhook_private=True,
)


@dataclass
class Hands:
    """A clock that a test moves."""

    at: datetime = datetime(2030, 1, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at

    def go_on(self, by: timedelta) -> None:
        self.at += by


@dataclass
class Post:
    """The post office: a mail server that keeps what it takes."""

    box: Box
    url: str

    def mails(self) -> list[Mail]:
        return sorted(self.box.mails(), key=lambda mail: mail["to"])


@dataclass
class Notifying:
    """A sender with its mail server, and words for tests."""

    sender: Sender
    clock: Hands
    post: Post
    store: Store

    async def hook(
        self,
        receiver: Receiver,
        *,
        tenant: str | None = None,
        events: tuple[str, ...] = (),
        with_arguments: bool = False,
    ) -> WebhookRow:
        new = NewWebhook.model_validate(
            {
                "url": f"{receiver.url}/hook",
                "tenant": tenant,
                "events": events,
                "with_arguments": with_arguments,
            }
        )
        return await webhooks.add(self.store, new, by="person-ada")

    def secret(self, hook: WebhookRow) -> str:
        return webhooks.secrets_of(KEY, hook, now=self.clock())[0]


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
async def store(tables_url: str, clock: Hands) -> AsyncIterator[Store]:
    """An empty record with that clock, once on SQLite and once on PostgreSQL."""
    store = patient(tables_url, clock=clock)
    yield store
    await store.close()


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    box = Box(tmp_path / "mail")
    box.folder.mkdir()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Acceptor(box), enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    port = server.sockets[0].getsockname()[1]
    yield Post(box, f"smtp://127.0.0.1:{port}")
    server.close()


@pytest.fixture
async def notifying(store: Store, clock: Hands, post: Post) -> AsyncIterator[Notifying]:
    sender = Sender(
        store,
        SETTINGS,
        Poster(private=True, timeout_s=5),
        Mailer(post.url, "keyturn@example.com"),
    )
    yield Notifying(sender, clock, post, store)
    await sender.close()
