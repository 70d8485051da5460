"""Walks of the audit log: one at a time in a process, shared by those who ask."""

import asyncio

from approvals.shared_work import SharedWork
from orchestrator.store import audit
from orchestrator.store.audit import Finding
from orchestrator.store.engine import Store


class Verification:
    """Whoever asks while a walk is under way that looks for the same waits for it."""

    def __init__(self) -> None:
        """Begin without a walk."""
        self._one_at_a_time = asyncio.Lock()
        self._walks: dict[str | None, SharedWork[Finding]] = {}

    async def result(self, store: Store, *, checkpoint: str | None = None) -> Finding:
        """Return what a walk found, as `audit.verify` does."""

        async def walk() -> Finding:
            try:
                async with self._one_at_a_time:
                    return await audit.verify(store, checkpoint=checkpoint)
            finally:
                del self._walks[checkpoint]

        shared = self._walks.setdefault(checkpoint, SharedWork())
        return await shared.result(walk)

    async def finish(self) -> None:
        """End what is going on."""
        await asyncio.gather(*(one.finish() for one in self._walks.values()))
