"""One task of a process that looks for all that is open in its browsers.

What twenty tabs show is looked at once, however many they are.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog

from orchestrator.errors import StoreUnavailable
from orchestrator.store.engine import apart

LOOK_EVERY_S = 1.0
log = structlog.get_logger()

# What is looked at, once for all who show it: its parts' fingerprints, by their names.
Look = Callable[[], Awaitable[Mapping[str, str]]]


@dataclass
class _Subject:
    """One thing that somebody shows: how it is looked at, and how it was last."""

    look: Look
    listeners: int = 0
    parts: Mapping[str, str] = field(default_factory=dict[str, str])


class Watcher:
    """Looks once a second at all that this process's pages show, while they show it."""

    def __init__(self, *, every_s: float = LOOK_EVERY_S) -> None:
        """Begin with nothing to look at."""
        self._every_s = every_s
        self._subjects: dict[str, _Subject] = {}
        self._looked = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    @property
    def subjects(self) -> int:
        """Return how many things are looked at."""
        return len(self._subjects)

    async def follow(self, name: str, part: str, look: Look) -> AsyncIterator[str]:
        """Yield a part's fingerprint after each look; empty where it has none.

        Who asks for the same name shares the look.
        """
        subject = self._subjects.setdefault(name, _Subject(look))
        subject.listeners += 1
        self._start()
        try:
            while True:
                async with self._looked:
                    await self._looked.wait()
                yield subject.parts.get(part, "")
        finally:
            subject.listeners -= 1
            if not subject.listeners:
                del self._subjects[name]

    async def finish(self) -> None:
        """End the task, where there is one."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch(), context=apart())

    async def _watch(self) -> None:
        while self._subjects:
            for subject in list(self._subjects.values()):
                await self._look_at(subject)
            async with self._looked:
                self._looked.notify_all()
            await asyncio.sleep(self._every_s)

    async def _look_at(self, subject: _Subject) -> None:
        try:
            subject.parts = await subject.look()
        except StoreUnavailable as error:
            # Pages stay as they are; they hear of changes when the store is back.
            log.warning("watch.store_away", error=str(error))


def only(fingerprint: Callable[[], Awaitable[str]], part: str = "") -> Look:
    """Return a look at what has one part alone."""

    async def look() -> Mapping[str, str]:
        return {part: await fingerprint()}

    return look
