"""The ports through which a tool reaches the world; none of them is a model's."""

import hashlib
from collections.abc import Mapping
from typing import Protocol

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
        """Return the service's answer; a 4xx answer raises `ToolError`."""
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


class NotSent(Exception):
    """Certainly nothing reached the service: it may be tried again."""
