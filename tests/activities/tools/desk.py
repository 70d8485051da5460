"""The support desk's tools before a shop in this process, through real connectors."""

from dataclasses import dataclass, field
from typing import TypeVar

import httpx2
from pydantic import BaseModel

from keyturn import Mail, Tool, ToolContext
from keyturn.activities.connectors.source import CallConnectors, Services
from keyturn.activities.toolbox import Actor
from keyturn.orchestrator.cli.demo.books import Books
from keyturn.orchestrator.cli.demo.faults import Fault, Faults, Faulty
from keyturn.orchestrator.cli.demo.shop import build
from keyturn.orchestrator.rules.contract.connector import Mailer, Reader, Writer

Answer = TypeVar("Answer", bound=BaseModel)


@dataclass
class Desk:
    """A shop, a mailbox and contexts in which tools act."""

    books: Books = field(default_factory=lambda: Books(None))
    faults: Faults = field(default_factory=Faults)
    mails: list[tuple[str, Mail]] = field(default_factory=list[tuple[str, Mail]])

    def __post_init__(self) -> None:
        shop = Faulty(build(self.books), self.faults)
        transport = httpx2.ASGITransport(app=shop, raise_app_exceptions=False)
        self.client = httpx2.AsyncClient(transport=transport)

    def context(
        self, customer: str = "C-1001", key: str | None = "run-1:1.0.0"
    ) -> ToolContext:
        actor = Actor(
            run="run-1",
            call="run-1:1.0",
            tenant="north",
            customer=customer,
            contact="mira.holm@example.com",
            effect_key=key,
        )
        services = Services(
            self.client, {"payments": "http://shop.test"}, may_write=key is not None
        )
        return ToolContext(
            run=actor.run,
            call=actor.call,
            tenant=actor.tenant,
            customer=customer,
            contact=actor.contact,
            effect_key=key,
            connectors=Ports(services(actor), self),
        )

    def break_next(self, kind: str) -> None:
        self.faults.left.append(Fault.model_validate({"kind": kind, "path": "/"}))


@dataclass(frozen=True)
class Ports:
    """The connectors of one call; mails stay here."""

    inner: CallConnectors
    desk: Desk

    def reader(self, service: str) -> Reader:
        return self.inner.reader(service)

    def writer(self, service: str) -> Writer:
        return self.inner.writer(service)

    def mailer(self) -> Mailer:
        return self

    async def send(self, mail: Mail) -> str:
        self.desk.mails.append((self.inner.actor.contact or "", mail))
        return "<mail@desk>"


async def use(
    tool: Tool, context: ToolContext, answer: type[Answer], **arguments: object
) -> Answer:
    """What the tool answers to these arguments."""
    found = await tool.function(tool.input.model_validate(arguments), context)
    assert isinstance(found, answer)
    return found


async def facts(tool: Tool, context: ToolContext, **arguments: object) -> BaseModel:
    """What an approver of this call sees."""
    preview = tool.preview
    assert preview is not None
    return await preview(tool.input.model_validate(arguments), context)


def usd(amount: int) -> dict[str, object]:
    """An amount as a model writes it."""
    return {"amount": amount, "currency": "USD"}
