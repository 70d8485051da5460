"""The activity `fault`: what happens to a run whose author's own code fails."""

from dataclasses import dataclass

from temporalio import activity

from keyturn.activities import overheard
from keyturn.activities.guard import Guard
from keyturn.activities.interface import Ends, FaultInput, FaultResult
from keyturn.orchestrator.rules.status import ENDED_RUNS
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import faults
from keyturn.orchestrator.store.runs import lookup as run_lookup

NO_WORDS = "its words are in the log of the worker that ran it"


@dataclass(frozen=True)
class Fault:
    """Records an exception of a workflow's own code, and says whether to retry."""

    store: Store
    guard: Guard

    @activity.defn(name="fault")
    async def __call__(self, wanted: FaultInput) -> FaultResult:
        """Return the pause after which the run restarts, or how it ends.

        It restarts from the record: what is stored is neither asked nor paid again.
        """
        words = overheard.pick_up(wanted.run) or NO_WORDS
        fault = faults.Fault(
            place=faults.WORKFLOW,
            kind=wanted.kind,
            words=f"{words} ({wanted.where})" if wanted.where else words,
        )
        found = await faults.note(self.store, wanted.run, fault)
        pause_s = self.guard.pause_s(found.times)
        if pause_s is not None and not wanted.is_final:
            return FaultResult(kind="again", pause_s=pause_s)
        await faults.give_up(
            self.store, wanted.run, faults.WORKFLOW, ends_run=True, alarms=True
        )
        return FaultResult(kind=await self._fallback(wanted.run))

    async def _fallback(self, run: str) -> Ends:
        async with self.store.read() as session:
            row = await run_lookup.get(session, run)
            if row.status in ENDED_RUNS:
                return "hand_off"
            release = await releases.load(session, row.release)
        return "failed" if release.fallback.code_error == "fail" else "hand_off"
