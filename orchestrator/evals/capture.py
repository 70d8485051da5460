"""Captures what effects would send, in a shop of the suite's own; nothing leaves."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx2
from pydantic import JsonValue

from keyturn.activities import http_client
from keyturn.activities.connectors.source import CallConnectors, Services
from keyturn.activities.llm.provider import Provider
from keyturn.activities.toolbox import Actor
from keyturn.orchestrator.cli.demo.books import Books
from keyturn.orchestrator.cli.demo.shop import build
from keyturn.orchestrator.rules.contract.connector import Mail, Mailer, Reader, Writer
from keyturn.orchestrator.rules.contract.tool import ToolError
from keyturn.orchestrator.rules.text.transcript import ModelReply, ModelRequest

SHOP = {"payments": "http://shop.captured"}


@dataclass(frozen=True)
class Sent:
    """One message or request of an effect that was accepted; `to` only for a mail."""

    run: str
    key: str
    what: str
    to: str | None = None
    text: str = ""


@dataclass
class Outside:
    """Everything the engine can reach: a shop in this process, and a list of mails."""

    books: Books = field(default_factory=lambda: Books(None))
    sent: list[Sent] = field(default_factory=list[Sent])
    prompts: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def __post_init__(self) -> None:
        """Open the shop, over HTTP as usual, but without a socket."""
        shop = httpx2.ASGITransport(app=build(self.books))
        self._client = http_client.client(transport=shop)

    def readers(self, actor: Actor) -> CallConnectors:
        """Return readers alone."""
        return Services(self._client, SHOP)(actor)

    def writers(self, actor: Actor) -> "Captured":
        """Return readers, and writers that record every send."""
        return Captured(Services(self._client, SHOP, may_write=True)(actor), self)

    async def close(self) -> None:
        """Close the shop."""
        await self._client.aclose()
        self.books.close()


@dataclass(frozen=True)
class Captured:
    """The connectors of one effect."""

    inner: CallConnectors
    outside: Outside

    def reader(self, service: str) -> Reader:
        """Return the shop's reader."""
        return self.inner.reader(service)

    def writer(self, service: str) -> Writer:
        """Return the shop's writer; its requests stay here."""
        return _Writer(self.inner.writer(service), self.inner.actor, self.outside)

    def mailer(self) -> Mailer:
        """Return a mailer that keeps the mail."""
        return _Mailer(self.inner.actor, self.outside)


@dataclass(frozen=True)
class _Writer:
    inner: Writer
    actor: Actor
    outside: Outside

    async def get(
        self, path: str, params: Mapping[str, str] | None = None
    ) -> JsonValue:
        return await self.inner.get(path, params)

    async def post(self, path: str, body: JsonValue) -> JsonValue:
        answer = await self.inner.post(path, body)
        key = self.actor.effect_key or ""
        self.outside.sent.append(Sent(self.actor.run, key, f"POST {path}"))
        return answer


@dataclass(frozen=True)
class _Mailer:
    actor: Actor
    outside: Outside

    async def send(self, mail: Mail) -> str:
        key = self.actor.effect_key
        if key is None or not self.actor.contact:
            raise ToolError("There is nobody to write to; nothing was sent.")
        text = f"{mail.subject}\n{mail.body}"
        self.outside.sent.append(
            Sent(self.actor.run, key, "mail", to=self.actor.contact, text=text)
        )
        return f"<{key}@captured>"


@dataclass(frozen=True)
class Watched:
    """A provider whose requests are recorded, by the message that opened the run."""

    inner: Provider
    outside: Outside

    @property
    def name(self) -> str:
        """Return the provider's name."""
        return self.inner.name

    async def reply(self, request: ModelRequest, *, timeout_s: float) -> ModelReply:
        """Return the model's reply."""
        first = request.messages[0]
        opened = first.text if request.messages else ""
        kept = self.outside.prompts.setdefault(opened, [])
        kept.append(request.model_dump_json())
        return await self.inner.reply(request, timeout_s=timeout_s)

    async def aclose(self) -> None:
        """Close the provider."""
        await self.inner.aclose()
