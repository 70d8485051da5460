"""The activity `finish`: records how a run ended."""

from dataclasses import dataclass

from temporalio import activity

from activities.interface import Finished, FinishInput
from orchestrator.store import runs
from orchestrator.store.engine import Store
from orchestrator.store.runs import Ending


@dataclass(frozen=True)
class Finish:
    """Ends runs in the record; a second call changes nothing."""

    store: Store

    @activity.defn(name="finish")
    async def __call__(self, wanted: FinishInput) -> Finished:
        """Record the run's end."""
        ending = Ending(outcome=wanted.outcome, step=wanted.step, reason=wanted.reason)
        await runs.finish(self.store, wanted.run, ending)
        return Finished()
