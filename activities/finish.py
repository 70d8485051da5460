"""The activity `finish`: records how a run ended."""

from dataclasses import dataclass

from temporalio import activity

from keyturn.activities import forgery
from keyturn.activities.guard import Guard
from keyturn.activities.interface import Finished, FinishInput
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.runs import end
from keyturn.orchestrator.store.runs.end import Ending
from keyturn.orchestrator.store.runs.errors import NoSuchEnd

# The place of a fault of code in recording a run's end.
PLACE = "the run's end"


@dataclass(frozen=True)
class Finish:
    """Ends runs in the record; a second call changes nothing."""

    store: Store
    guard: Guard

    @activity.defn(name="finish")
    async def __call__(self, wanted: FinishInput) -> Finished:
        """Record the run's end; hand the run to a person if that is impossible."""
        return await self.guard.run(
            wanted.run,
            PLACE,
            lambda: self._finish(wanted),
            lambda: self._give_up(wanted),
        )

    async def _finish(self, wanted: FinishInput) -> Finished:
        ending = Ending(outcome=wanted.outcome, step=wanted.step, reason=wanted.reason)
        return await self._end(wanted.run, ending)

    async def _give_up(self, wanted: FinishInput) -> Finished:
        ending = Ending(outcome="handed_off", reason="code_error")
        return await self._end(wanted.run, ending)

    async def _end(self, run: str, ending: Ending) -> Finished:
        """Record the run's end, unless the run is paused or halted."""
        try:
            is_ended = await end.finish(self.store, run, ending)
        except NoSuchEnd as error:
            if error.may_have_been:
                raise forgery.from_the_record() from None
            await forgery.refuse(self.store, run, str(error))
        return Finished(kind="ended" if is_ended else "stopped")
