"""Work that many may ask for at once, done once for all of them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from keyturn.orchestrator.store.db.database import apart

Result = TypeVar("Result")


class SharedWork(Generic[Result]):
    """One piece of work: whoever asks while it is done gets its result, too.

    It goes on when those who asked have left. A result is given for `keep_s` more; a
    failure is told to all who waited for it, and the next who asks begins anew.
    """

    def __init__(self, *, keep_s: float = 0.0) -> None:
        """Begin without a result."""
        self._keep_s = keep_s
        self._task: asyncio.Task[Result] | None = None
        self._done_at = 0.0

    async def result(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Return the result of `work`, or of one that was begun for somebody else."""
        if self._task is None or self._is_over(self._task):
            self._task = asyncio.create_task(self._done(work), context=apart())
        return await asyncio.shield(self._task)

    async def finish(self) -> None:
        """End what is going on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _is_over(self, task: "asyncio.Task[Result]") -> bool:
        if not task.done():
            return False
        if task.cancelled() or task.exception() is not None:
            return True
        return asyncio.get_running_loop().time() - self._done_at >= self._keep_s

    async def _done(self, work: Callable[[], Awaitable[Result]]) -> Result:
        found = await work()
        self._done_at = asyncio.get_running_loop().time()
        return found
