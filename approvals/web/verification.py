"""Verification of the audit log: one walk at a time, shared by its callers."""

import asyncio

from keyturn.approvals.web.shared_work import SharedWork
from keyturn.orchestrator.rules.authority.binding import Verifier
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.integrity import verification
from keyturn.orchestrator.store.integrity.verification import Finding


class Verification:
    """The walk in progress; callers with the same question wait for its result."""

    def __init__(self, verifier: Verifier | None = None) -> None:
        """Begin without a walk; `verifier` checks signatures of decisions."""
        self._verifier = verifier
        self._one_at_a_time = asyncio.Lock()
        self._walks: dict[str | None, SharedWork[Finding]] = {}

    async def result(self, store: Store, *, checkpoint: str | None = None) -> Finding:
        """Return the findings of a walk, as `verification.verify` does."""

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
        """Stop the walk in progress."""
        await asyncio.gather(*(one.finish() for one in self._walks.values()))
