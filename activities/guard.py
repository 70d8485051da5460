"""Code that fails: tried again a few times, in sight of people, then given up."""

import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import httpx2
from temporalio import activity
from temporalio.exceptions import (
    ApplicationError,
    ApplicationErrorCategory,
    FailureError,
)

from keyturn.activities.think.fallback import Unkept
from keyturn.orchestrator.rules.contract.connector import NotRead, NotSent
from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.rules.text import scrub
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.runs import faults
from keyturn.orchestrator.store.runs.faults import Fault

Result = TypeVar("Result")

# Seconds between the tries: a worker with mended code has this long to come.
PAUSES_S = (1.0, 4.0, 10.0, 20.0)
# A service that is away is no fault of code: there would be an incident for each run.
OUTAGES = (
    OSError,
    TimeoutError,
    httpx2.TransportError,
    httpx2.HTTPStatusError,
    NotRead,
    NotSent,
)


@dataclass(frozen=True)
class Guard:
    """Bounds what fails by a fault of code, and shows it while it is tried again.

    A store that is away is no such fault: its error passes, and Temporal tries again
    for as long as that lasts. `ends_run`: giving up ends the run in its contract's
    fallback for code. `outage_pauses_s`: what is waited for a service, where that is
    longer.
    """

    store: Store
    pauses_s: tuple[float, ...] = PAUSES_S
    outage_pauses_s: tuple[float, ...] | None = None
    ends_run: bool = True

    async def keep(
        self,
        run: str,
        place: str,
        work: Callable[[], Awaitable[Result]],
        otherwise: Callable[[], Awaitable[Result]],
    ) -> Result:
        """Return what `work` returns or, after the last try, what `otherwise` does."""
        try:
            return await work()
        except (StoreUnavailable, FailureError):
            raise
        except Exception as error:  # noqa: BLE001 recorded, and tried again in bounds
            activity.logger.exception("code failed at %s of %s", place, run)
            pause_s = await self._again(run, place, error)
            if pause_s is not None:
                # The words stay here: Temporal's history keeps the kind alone.
                raise again(type(error).__name__, pause_s) from None
        return await otherwise()

    async def _again(self, run: str, place: str, error: Exception) -> float | None:
        """Record a failure; return the pause before the next try, None for no more."""
        found = await faults.note(self.store, run, fault(place, error))
        is_outage = isinstance(error, OUTAGES)
        pause_s = self.pause_s(found.times, is_outage=is_outage)
        if pause_s is not None and not isinstance(error, Unkept):
            return pause_s
        await faults.give_up(
            self.store,
            run,
            place,
            ends_run=self.ends_run,
            alarms=not is_outage,
        )
        return None

    def pause_s(self, times: int, *, is_outage: bool = False) -> float | None:
        """Return the pause after so many failures; None where the tries are used up."""
        pauses_s = self.outage_pauses_s if is_outage else None
        pauses_s = pauses_s or self.pauses_s
        return pauses_s[times - 1] if times <= len(pauses_s) else None


def again(kind: str, pause_s: float) -> ApplicationError:
    """Return the error by which Temporal tries an activity again after a pause."""
    return ApplicationError(
        f"{kind}; its words are on the run's page and in the log",
        type=kind,
        next_retry_delay=timedelta(seconds=pause_s),
        # Its stack is in our log already.
        category=ApplicationErrorCategory.BENIGN,
    )


def fault(place: str, error: BaseException) -> Fault:
    """Return an exception as it is recorded: its kind, words and place in the code."""
    return Fault(
        place=place,
        kind=type(error).__name__,
        words=f"{scrub.error(error)}{where(error)}",
    )


def where(error: BaseException) -> str:
    """Return the file and line that raised, as ` (tools.py:12)`."""
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames:
        return ""
    frame, line = frames[-1]
    return f" ({frame.f_code.co_filename.rpartition('/')[2]}:{line})"
