"""The ports through which tools reach external services; models have none of them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, JsonValue


class Reader(Protocol):
    """Reads one service for one tenant and customer."""

    async def get(
        self, path: str, params: Mapping[str, str] | None = None
    ) -> JsonValue:
        """Return the JSON at `path`; a 4xx answer raises `ToolError` with its words."""
        ...


class Writer(Reader, Protocol):
    """Changes one service, once per effect: its key travels as `Idempotency-Key`."""

    async def post(self, path: str, body: JsonValue) -> JsonValue:
        """Return the service's document; None where it acted and returned none.

        Raises `ToolError` for a definite refusal, `NotSent` and `NotKnown`.
        """
        ...


class Mail(BaseModel):
    """A message to the run's own contact; nobody else can be named."""

    model_config = ConfigDict(frozen=True)

    subject: str
    body: str


class Mailer(Protocol):
    """Sends to the contact known at the run's start, under a stable Message-ID."""

    async def send(self, mail: Mail) -> str:
        """Return the Message-ID under which the mail was accepted."""
        ...


class Connectors(Protocol):
    """The connectors a tool receives: readers everywhere, writers only in `perform`."""

    def reader(self, service: str) -> Reader:
        """Return the reader of a configured service."""
        ...

    def writer(self, service: str) -> Writer:
        """Return the writer of a configured service; refused outside `perform`."""
        ...

    def mailer(self) -> Mailer:
        """Return the mailer; refused outside `perform`."""
        ...


def mail_name(key: str) -> str:
    """Return the Message-ID's part before the @; all attempts of an effect share it."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def header_value(text: str) -> str:
    """Return a text in the form of the `Keyturn-…` headers: percent-encoded UTF-8.

    Visible ASCII except `%` stays unchanged; `urllib.parse.unquote` returns the text.
    """
    return quote(text, safe=_STAYS)


_STAYS = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")


class Known(StrEnum):
    """What an answer says about an effect: it acted, it did not, or that is unknown.

    Where nothing was done, `REFUSED` is final; `NOT_SENT` is retried, and so is
    `NEEDS_REPAIR`, which also alerts an operator.
    """

    ACTED = "acted"
    REFUSED = "refused"
    NOT_SENT = "not sent"
    NEEDS_REPAIR = "not sent, needs repair"
    NOT_KNOWN = "not known"


@dataclass
class Deed:
    """One write of a call, and what its connector knows about it at this moment.

    `has_document`: it acted, and its answer was readable. `words` are for people.
    """

    known: Known = Known.NOT_KNOWN
    has_document: bool = False
    words: str = ""


@dataclass
class Deeds:
    """The writes that the connectors of one call made, in order.

    They decide the outcome, not the exception that the tool raised.
    """

    all: list[Deed] = field(default_factory=list[Deed])

    def begin(self, known: Known = Known.NOT_KNOWN) -> Deed:
        """Add a write at its start."""
        deed = Deed(known)
        self.all.append(deed)
        return deed


class NotSent(Exception):
    """Certainly nothing was done: it may be retried.

    `answered`: the service was reached and declined for now. `alarm` says what an
    operator has to repair.
    """

    def __init__(
        self, words: str, *, answered: bool = False, alarm: str | None = None
    ) -> None:
        """Take the explanation for people."""
        self.answered = answered
        self.alarm = alarm
        super().__init__(words)


class NotKnown(Exception):
    """The request was sent, and no answer says what happened to it."""


class NotRead(Exception):
    """A read broke off; this says nothing about any write."""
