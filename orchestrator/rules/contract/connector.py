"""The ports through which a tool reaches the world; none of them is a model's."""

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
        """Return the service's document; None where it acted and gave none.

        Raises `ToolError` where it said a definite no, `NotSent` and `NotKnown`.
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
    """What a tool is handed: readers everywhere, writers in `perform` alone."""

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
    """Return what an effect's Message-ID has before the @, in every attempt."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def header_value(text: str) -> str:
    """Return a text as the headers `Keyturn-…` carry it: percent-encoded UTF-8.

    Visible ASCII but `%` stays as it is; `urllib.parse.unquote` gives the text back.
    """
    return quote(text, safe=_STAYS)


_STAYS = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")


class Known(StrEnum):
    """What an answer says of an effect: it acted, it did not, or nobody knows.

    Of what did not act `REFUSED` is for good; `NOT_SENT` is tried again, and so is
    `MEND`, of which an operator is told.
    """

    ACTED = "acted"
    REFUSED = "refused"
    NOT_SENT = "not sent"
    MEND = "not sent, to be mended"
    NOT_KNOWN = "not known"


@dataclass
class Deed:
    """One write of a call, and what its connector knows of it at this moment.

    `has_document`: it acted, and its answer could be read. `words` are for people.
    """

    known: Known = Known.NOT_KNOWN
    has_document: bool = False
    words: str = ""


@dataclass
class Deeds:
    """What the connectors of one call did, in order.

    What is known of it decides, and not which exception came out of the tool.
    """

    all: list[Deed] = field(default_factory=list[Deed])

    def begin(self, known: Known = Known.NOT_KNOWN) -> Deed:
        """Add a write that begins."""
        deed = Deed(known)
        self.all.append(deed)
        return deed


class NotSent(Exception):
    """Certainly nothing was done: it may be tried again.

    `answered`: somebody was reached, and would not do it now. `alarm` says what an
    operator has to mend.
    """

    def __init__(
        self, words: str, *, answered: bool = False, alarm: str | None = None
    ) -> None:
        """Take the words for people."""
        self.answered = answered
        self.alarm = alarm
        super().__init__(words)


class NotKnown(Exception):
    """It was sent, and no answer says what became of it."""


class NotRead(Exception):
    """A read broke off; it says nothing of any write."""
