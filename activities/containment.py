"""Contains exceptions by which an author's code would escape its surroundings.

`sys.exit()` in a tool would end the worker, and each worker that takes the call after
it; an error of Temporal's own kind, or a cancellation that nobody requested, would be
retried without end. All three are treated as ordinary errors of that code.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from temporalio.exceptions import FailureError

Result = TypeVar("Result")


class BrokeOut(RuntimeError):
    """An author's code raised an exception reserved for its surroundings."""

    def __init__(self, error: BaseException) -> None:
        """Name the exception that was raised."""
        super().__init__(f"it raised {type(error).__name__}: {error}")


async def contained(work: Awaitable[Result]) -> Result:
    """Await an author's code; raises `BrokeOut` for an exception that would escape."""
    try:
        return await work
    except (SystemExit, KeyboardInterrupt, FailureError, BaseExceptionGroup) as error:
        raise BrokeOut(error) from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise BrokeOut(error) from error
