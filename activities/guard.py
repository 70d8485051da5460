"""Handles failing code: retries a few times, visible to people, then gives up."""

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

# Seconds between retries: the time in which a worker with repaired code may arrive.
PAUSES_S = (1.0, 4.0, 10.0, 20.0)
# An unavailable service is no fault of code: each run would open an incident.
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
    """Limits retries of failing code, and shows the fault while they last.

    An unavailable store is no such fault: its error passes, and Temporal retries for
    as long as that lasts. `ends_run`: giving up ends the run in its contract's fallback
    for code. `outage_pauses_s`: the pauses for an unavailable service, where they are
    longer.
    """

    store: Store
    pauses_s: tuple[float, ...] = PAUSES_S
    outage_pauses_s: tuple[float, ...] | None = None
    ends_run: bool = True

    async def run(
        self,
        run: str,
        place: str,
        work: Callable[[], Awaitable[Result]],
        otherwise: Callable[[], Awaitable[Result]],
    ) -> Result:
        """Return the result of `work` or, after the last try, that of `otherwise`."""
        try:
            return await work()
        except (StoreUnavailable, FailureError):
            raise
        except Exception as error:  # noqa: BLE001 recorded, and retried a limited number of times
            activity.logger.exception("code failed at %s of %s", place, run)
            pause_s = await self._again(run, place, error)
            if pause_s is not None:
                # The message stays here: Temporal's history receives only the kind.
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
        """Return the pause after this many failures; None where no tries are left."""
        pauses_s = self.outage_pauses_s if is_outage else None
        pauses_s = pauses_s or self.pauses_s
        return pauses_s[times - 1] if times <= len(pauses_s) else None


def again(kind: str, pause_s: float) -> ApplicationError:
    """Return the error that makes Temporal retry an activity after a pause."""
    return ApplicationError(
        f"{kind}; its words are on the run's page and in the log",
        type=kind,
        next_retry_delay=timedelta(seconds=pause_s),
        # Our log already has the stack trace.
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
