"""Work that concurrent callers share: done once for all of them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from keyturn.orchestrator.store.db.database import apart

Result = TypeVar("Result")


class SharedWork(Generic[Result]):
    """A piece of work; callers that come while it runs get the same result.

    It continues if its callers leave. The result is reused for `keep_s` seconds; a
    failure is raised to all waiting callers, and the next caller starts it again.
    """

    def __init__(self, *, keep_s: float = 0.0) -> None:
        """Begin without a result."""
        self._keep_s = keep_s
        self._task: asyncio.Task[Result] | None = None
        self._done_at = 0.0

    async def result(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Return the result of `work`, or of work begun by another caller."""
        if self._task is None or self._is_over(self._task):
            self._task = asyncio.create_task(self._done(work), context=apart())
        return await asyncio.shield(self._task)

    async def finish(self) -> None:
        """Stop the work in progress."""
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
