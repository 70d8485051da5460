"""Fakes of the connector ports: a shop and a mailbox that remember what they did."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from keyturn.activities.toolbox import Actor
from keyturn.orchestrator.rules.contract.connector import Mail, Mailer, Reader, Writer
from keyturn.orchestrator.rules.contract.tool import ToolError


@dataclass
class World:
    """The outside: orders, what was posted under which key, and mails."""

    orders: dict[str, dict[str, JsonValue]] = field(default_factory=dict)
    posted: list[tuple[str, str, JsonValue]] = field(default_factory=list)
    mails: list[tuple[str, str, Mail]] = field(default_factory=list)
    breaks: list[BaseException] = field(default_factory=list)
    paid: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    looked_up: list[str] = field(default_factory=list)
    unreadable: dict[str, list[Exception]] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict[str, float])
    # What is done instead of a read of an order, or (`post ORDER`) of a write.
    does: dict[str, Callable[[], object]] = field(
        default_factory=dict[str, Callable[[], object]]
    )
    gates: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])

    def readers(self, actor: Actor) -> "Ports":
        """Return readers alone."""
        return Ports(self, actor, may_write=False)

    def writers(self, actor: Actor) -> "Ports":
        """Return readers and writers."""
        return Ports(self, actor, may_write=True)


@dataclass
class Ports:
    """The ports of one call."""

    world: World
    actor: Actor
    may_write: bool

    def reader(self, service: str) -> Reader:
        del service
        return self

    def writer(self, service: str) -> Writer:
        del service
        self._key()
        return self

    def mailer(self) -> Mailer:
        self._key()
        return self

    async def get(
        self, path: str, params: Mapping[str, str] | None = None
    ) -> JsonValue:
        del params
        order = path.rpartition("/")[2]
        # Once: the first read of a slow order takes these seconds.
        await asyncio.sleep(self.world.slow.pop(order, 0))
        if order in self.world.gates:
            await self.world.gates[order].wait()
        if order in self.world.does:
            self.world.does[order]()
        if self.world.unreadable.get(order):
            raise self.world.unreadable[order].pop(0)
        if path.startswith("/paid/"):
            self.world.looked_up.append(order)
            return self.world.paid.get(order)
        found = self.world.orders.get(order)
        if found is None:
            raise ToolError(f"There is no order at {path}.")
        return found

    async def post(self, path: str, body: JsonValue) -> JsonValue:
        key = self._key()
        order = body.get("order_id") if isinstance(body, dict) else None
        if does := self.world.does.get(f"post {order}"):
            does()
        if self.world.breaks:
            raise self.world.breaks.pop(0)
        self.world.posted.append((path, key, body))
        return {"id": f"receipt-{len(self.world.posted)}"}

    async def send(self, mail: Mail) -> str:
        self.world.mails.append((self.actor.contact or "", self._key(), mail))
        return f"<mail-{len(self.world.mails)}>"

    def _key(self) -> str:
        if not self.may_write or self.actor.effect_key is None:
            raise ToolError("Writing is possible in an effect alone.")
        return self.actor.effect_key
