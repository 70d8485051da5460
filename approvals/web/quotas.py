"""Quotas on concurrent requests and streams, per person and in total, per process.

All sessions and tokens of a person count together: a hundred of them give no more than
one. Switches and pauses have quotas of their own, so that reading never keeps a person
from stopping something.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from dataclasses import dataclass, field
from typing import Literal

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from keyturn.approvals.web.errors import TooManyAtOnce

Kind = Literal["stream", "control", "read", "write"]

# Per person. Reads and writes together leave database connections for other people; a
# browser sends six requests at once.
AT_ONCE = 8
WAITING = 64
WAIT_S = 10.0
RETRY_AFTER_S = 1
# A hidden tab has no open stream.
STREAMS_EACH = 20
STREAMS_IN_ALL = 500
STREAM_AFTER_S = 30

_HELD = "keyturn.held"
_WHAT = {
    "control": "switches, pauses and answers to proposals",
    "read": "reads",
    "write": "writes",
}


class Streams:
    """Open event streams, bounded per person and in total."""

    def __init__(
        self, *, each: int = STREAMS_EACH, in_all: int | None = STREAMS_IN_ALL
    ) -> None:
        """Begin with none open; None means no bound on the total."""
        self._each = each
        self._in_all = in_all
        self._open: dict[str, int] = {}

    @property
    def open(self) -> int:
        """Return the number of open streams."""
        return sum(self._open.values())

    @asynccontextmanager
    async def turn(self, person: str) -> AsyncGenerator[None]:
        """Count one stream for the block, or raise `TooManyAtOnce`."""
        own = self._open.get(person, 0)
        if own >= self._each:
            raise _no_more_streams(
                f"You have {own} event streams open on this server, and the maximum is "
                f"{self._each} for all your sessions and tokens together. Close some "
                "pages or programs that follow changes",
                own,
                self._each,
            )
        if self._in_all is not None and self.open >= self._in_all:
            raise _no_more_streams(
                f"This server has {self.open} event streams open, of at most "
                f"{self._in_all}. Reload pages by hand, or poll the API",
                self.open,
                self._in_all,
            )
        self._open[person] = own + 1
        try:
            yield
        finally:
            self._open[person] -= 1
            if not self._open[person]:
                del self._open[person]


class Requests:
    """Requests of one kind: a bound per person, with a queue."""

    def __init__(
        self,
        kind: Kind,
        *,
        most: int = AT_ONCE,
        waiting: int = WAITING,
        wait_s: float = WAIT_S,
    ) -> None:
        """Begin with none under way."""
        self._kind: Kind = kind
        self._most = most
        self._waiting = waiting
        self._wait_s = wait_s
        self._of: dict[str, _Own] = {}

    @asynccontextmanager
    async def turn(self, person: str) -> AsyncGenerator[None]:
        """Wait for a slot of the person, and hold it for the block.

        Raises `TooManyAtOnce` if too many wait already, or after too long a wait.
        """
        own = self._of.setdefault(person, _Own(asyncio.Semaphore(self._most)))
        if own.count >= self._most + self._waiting:
            raise self._refusal(own)
        own.count += 1
        try:
            await self._wait(own)
            try:
                yield
            finally:
                own.turns.release()
        finally:
            own.count -= 1
            if not own.count:
                del self._of[person]

    async def _wait(self, own: "_Own") -> None:
        try:
            async with asyncio.timeout(self._wait_s):
                await own.turns.acquire()
        except TimeoutError:
            raise self._refusal(own) from None

    def _refusal(self, own: "_Own") -> TooManyAtOnce:
        return TooManyAtOnce(
            f"You have {own.count} {_WHAT[self._kind]} under way or waiting on this "
            f"server; the maximum is {self._most} under way for all your sessions and "
            f"tokens together. Nothing was done; send this again in {RETRY_AFTER_S} s, "
            "and fewer at once.",
            under_way=own.count,
            most=self._most,
            retry_after_s=RETRY_AFTER_S,
        )


@dataclass
class _Own:
    """One person's slots, and how many requests hold or want one."""

    turns: asyncio.Semaphore
    count: int = 0


@dataclass(frozen=True)
class Quotas:
    """The counts of one process, per person or per credential."""

    stream: Streams = field(default_factory=Streams)
    control: Requests = field(default_factory=lambda: Requests("control"))
    read: Requests = field(default_factory=lambda: Requests("read"))
    write: Requests = field(default_factory=lambda: Requests("write"))

    def turn(self, kind: Kind, whose: str) -> AbstractAsyncContextManager[None]:
        """Count one for the block, or raise `TooManyAtOnce`."""
        match kind:
            case "stream":
                return self.stream.turn(whose)
            case "control":
                return self.control.turn(whose)
            case "read":
                return self.read.turn(whose)
            case "write":
                return self.write.turn(whose)


@dataclass(frozen=True)
class RequestQuotas:
    """Counts each request until it is answered: per credential, then per person.

    The count per credential refuses a flood before the person is looked up: hundreds of
    such queries would delay everybody else.
    """

    people: Quotas = field(default_factory=Quotas)
    credentials: Quotas = field(
        default_factory=lambda: Quotas(stream=Streams(in_all=None))
    )

    async def of_credential(self, request: Request, kind: Kind, sent: str) -> None:
        """Count a request before its sender is known; idempotent per request."""
        whose = hashlib.sha256(sent.encode()).hexdigest()
        await _count(request, "credential", self.credentials.turn(kind, whose))

    async def of_person(self, request: Request, kind: Kind, person: str) -> None:
        """Count a request of this person; idempotent per request."""
        await _count(request, "person", self.people.turn(kind, person))


@dataclass
class _Held:
    """The slots that a request holds until its response or stream has ended."""

    until_the_end: AsyncExitStack
    counted: set[str] = field(default_factory=set[str])


async def _count(
    request: Request, name: str, turn: AbstractAsyncContextManager[None]
) -> None:
    held: _Held = request.scope[_HELD]
    if name not in held.counted:
        await held.until_the_end.enter_async_context(turn)
        held.counted.add(name)


class Counted:
    """Middleware that frees a request's slots, also after an error."""

    def __init__(self, app: ASGIApp) -> None:
        """Take the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        async with AsyncExitStack() as until_the_end:
            scope[_HELD] = _Held(until_the_end)
            await self._app(scope, receive, send)


def _no_more_streams(words: str, under_way: int, most: int) -> TooManyAtOnce:
    return TooManyAtOnce(
        f"{words}; then open this again after {STREAM_AFTER_S} s.",
        under_way=under_way,
        most=most,
        retry_after_s=STREAM_AFTER_S,
    )
