"""The watcher, which polls the database once for all open streams of a process.

The load on the database does not depend on the number of streams: once a second each
topic reads all things that are followed; at a change (and every few seconds) it checks
that the listeners still have access, then wakes them. Nothing is queued for a stream:
it takes the newest state when it is ready, so that a slow one delays nobody.
"""

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import structlog

from keyturn.approvals.api import run_feed
from keyturn.approvals.auth import liveness
from keyturn.approvals.auth.liveness import ASK_EVERY_S, Credential
from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.rules.pace import Bell
from keyturn.orchestrator.store.db.database import Store, apart
from keyturn.orchestrator.store.views import fingerprints as view_fingerprints

LOOK_EVERY_S = 1.0
EVENTS_EVERY_S = 0.5
# How many things one transaction reads, as its time is limited.
AT_ONCE = 100
log = structlog.get_logger()

State = TypeVar("State")
# Returns the current state of each named thing, given its previous state.
Look = Callable[[Sequence[str], Mapping[str, State]], Awaitable[Mapping[str, State]]]


@dataclass(eq=False)
class _Listener:
    """One open stream: the thing it follows, and its credential."""

    name: str
    credential: Credential
    is_ended: bool = False


class Topic(Generic[State]):
    """A kind of thing that streams follow by name."""

    def __init__(
        self, store: Store, look: Look[State], *, every_s: float = LOOK_EVERY_S
    ) -> None:
        """Begin with nothing to look at."""
        self._store = store
        self._look = look
        self._every_s = every_s
        self._listeners: set[_Listener] = set()
        self._has_new = False
        self._states: Mapping[str, State] = {}
        # Polls are numbered: the last one begun, and the last one published.
        self._begun = 0
        self._published = 0
        self._ask_at = 0.0
        self._bell = Bell()
        self._task: asyncio.Task[None] | None = None

    @property
    def listeners(self) -> int:
        """Return the number of streams that follow this topic."""
        return len(self._listeners)

    async def follow(self, name: str, credential: Credential) -> AsyncIterator[State]:
        """Yield a thing's state, after a first poll and at each change.

        Every state was read after this call began. Ends if the credential loses access
        or gets another identity, and if polling fails because of a bug.
        """
        mine = _Listener(name, credential)
        self._listeners.add(mine)
        self._has_new = True
        self._start()
        heard = self._begun
        try:
            while True:
                while self._published <= heard:
                    await self._bell.next.wait()
                heard = self._published
                if mine.is_ended:
                    return
                if name in self._states:
                    yield self._states[name]
        finally:
            self._listeners.discard(mine)

    async def finish(self) -> None:
        """End the task if there is one."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch(), context=apart())

    async def _watch(self) -> None:
        try:
            while self._listeners:
                await self._look_once()
                await asyncio.sleep(self._every_s)
        except Exception as error:  # noqa: BLE001 any error must end the streams, or they would wait for ever
            trace = "".join(traceback.format_exception(error))
            log.critical("watch.bug", trace=trace)
            for one in self._listeners:
                one.is_ended = True
            self._begun += 1
            self._tell()
        self._states = {}

    async def _look_once(self) -> None:
        has_new, self._has_new = self._has_new, False
        self._begun += 1
        try:
            states = await self._look_at_all()
            is_changed = states != self._states
            is_due = asyncio.get_running_loop().time() >= self._ask_at
            if is_changed or is_due:
                await self._end_strangers()
        except StoreUnavailable as error:
            # Pages stay unchanged; they get changes when the store is back.
            log.warning("watch.store_away", error=str(error))
            self._has_new |= has_new
            return
        self._states = states
        if is_changed or is_due or has_new:
            self._tell()

    async def _look_at_all(self) -> Mapping[str, State]:
        names = sorted({one.name for one in self._listeners})
        found: dict[str, State] = {}
        for first in range(0, len(names), AT_ONCE):
            found |= await self._look(names[first : first + AT_ONCE], self._states)
        return found

    async def _end_strangers(self) -> None:
        """End streams whose credential has lost access or changed identity."""
        asked = list(self._listeners)
        still = await liveness.unchanged(self._store, {one.credential for one in asked})
        for one in asked:
            one.is_ended = one.credential not in still
        self._ask_at = asyncio.get_running_loop().time() + ASK_EVERY_S

    def _tell(self) -> None:
        self._published = self._begun
        self._bell.ring()


class Watcher:
    """The topics: queues by their tenants, runs and items by their ids."""

    def __init__(self, store: Store) -> None:
        """Begin with nothing to look at."""
        self.queue = _of_page(store, view_fingerprints.queue)
        self.handoffs = _of_page(store, view_fingerprints.handoffs)
        self.runs = _of_page(store, view_fingerprints.runs)
        self.approvals = _of_page(store, view_fingerprints.approvals)
        self.events = Topic(
            store, partial(run_feed.look, store), every_s=EVENTS_EVERY_S
        )

    async def finish(self) -> None:
        """Stop polling."""
        topics = (self.queue, self.handoffs, self.runs, self.approvals, self.events)
        await asyncio.gather(*(one.finish() for one in topics))


def _of_page(
    store: Store,
    fingerprints: Callable[[Store, Sequence[str]], Awaitable[Mapping[str, str]]],
) -> Topic[str]:
    return Topic(store, lambda names, _: fingerprints(store, names))
