"""Walks of the audit log: one at a time in a process, shared by those who ask."""

import asyncio

from keyturn.approvals.web.shared_work import SharedWork
from keyturn.orchestrator.rules.authority.binding import Verifier
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.integrity import verification
from keyturn.orchestrator.store.integrity.verification import Finding


class Verification:
    """Whoever asks while a walk is under way that looks for the same waits for it."""

    def __init__(self, verifier: Verifier | None = None) -> None:
        """Begin without a walk; `verifier` checks the signatures of decisions."""
        self._verifier = verifier
        self._one_at_a_time = asyncio.Lock()
        self._walks: dict[str | None, SharedWork[Finding]] = {}

    async def result(self, store: Store, *, checkpoint: str | None = None) -> Finding:
        """Return what a walk found, as `verification.verify` does."""

        async def walk() -> Finding:
            try:
                async with self._one_at_a_time:
                    return await verification.verify(
                        store, checkpoint=checkpoint, verifier=self._verifier
                    )
            finally:
                del self._walks[checkpoint]

        shared = self._walks.setdefault(checkpoint, SharedWork())
        return await shared.result(walk)

    async def finish(self) -> None:
        """End what is going on."""
        await asyncio.gather(*(one.finish() for one in self._walks.values()))
