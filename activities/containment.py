"""An author's code that breaks out of what bounds it, held within.

`sys.exit()` in a tool would end the worker, and each that takes the call after it; an
error of Temporal's own kind, or a cancellation that nobody asked for, would be tried
again without end. All three are errors of that code, like any other.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from temporalio.exceptions import FailureError

Result = TypeVar("Result")


class BrokeOut(RuntimeError):
    """An author's code raised what only its surroundings may."""

    def __init__(self, error: BaseException) -> None:
        """Name what was raised."""
        super().__init__(f"it raised {type(error).__name__}: {error}")


async def contained(work: Awaitable[Result]) -> Result:
    """Await an author's code; what would reach beyond it is raised as `BrokeOut`."""
    try:
        return await work
    except (SystemExit, KeyboardInterrupt, FailureError, BaseExceptionGroup) as error:
        raise BrokeOut(error) from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise BrokeOut(error) from error
