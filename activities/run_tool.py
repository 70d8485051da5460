"""The activity `run_tool`: one read, with readers only."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity

from keyturn.activities.guard import Guard
from keyturn.activities.interface import CallInput, ReadResult
from keyturn.activities.toolbox import Toolbox, as_read_by_model, notice_of
from keyturn.orchestrator.rules.contract.tool import ToolError
from keyturn.orchestrator.rules.status import CallStatus
from keyturn.orchestrator.rules.text import model_notices
from keyturn.orchestrator.rules.text.model_notices import Told, ToolData
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.ledger.effects import CallRef
from keyturn.orchestrator.store.runs import calls, faults
from keyturn.orchestrator.store.runs.calls import CallView

TIMEOUT = timedelta(seconds=30)
# Between the tries of a read; then it is given up, and the contract's fallback for
# tools is taken.
READ_PAUSES_S = (0.5, 1.0, 2.0)
# A read that takes no longer is answered within its turn: it saves two round trips to
# Temporal, which is most of what a quick read costs.
AT_ONCE_S = 1.0
# The statuses of a run that was held, or waits to be picked up.
_STOOD = ("stopped", "queued")


@dataclass(frozen=True)
class RunTool:
    """Carries out reads; their answers go to the store, not to the history."""

    store: Store
    toolbox: Toolbox
    guard: Guard

    @activity.defn(name="run_tool")
    async def __call__(self, wanted: CallInput) -> ReadResult:
        """Record the call's answer and return that it is there."""
        return await self.guard.run(
            wanted.run,
            faults.call_place(wanted.turn, wanted.index),
            lambda: self._read(wanted),
            lambda: self._give_up(wanted),
        )

    async def _give_up(self, wanted: CallInput) -> ReadResult:
        """Record a read that fails permanently: the fallback for tools is taken."""
        answer = model_notices.read_crashed(call=_name(wanted))
        await self._record(wanted, "crashed", answer)
        return ReadResult()

    async def _read(self, wanted: CallInput) -> ReadResult:
        view = await calls.load(self.store, wanted.run, wanted.turn, wanted.index)
        if view.call.status != "open":
            return ReadResult()
        has_stood = view.call.held_by is not None or view.run.status in _STOOD
        if view.is_held or has_stood:
            place = wanted.run, wanted.turn, wanted.index
            if await calls.stand(self.store, *place):
                return ReadResult(kind="stopped")
            view = await calls.load(self.store, *place)
        status, answer = await self._answer(view)
        await self._record(wanted, status, answer)
        return ReadResult()

    async def at_once(self, wanted: Sequence[CallInput]) -> frozenset[int]:
        """Answer reads within their turn; return the indexes of the answered ones.

        A read that is held, fails or takes longer is left open for its own activity.
        """
        if not wanted:
            return frozenset()
        tasks = {asyncio.create_task(self._try(one)): one.index for one in wanted}
        try:
            done, _ = await asyncio.wait(tasks, timeout=AT_ONCE_S)
        finally:
            late = [task for task in tasks if not task.done()]
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        return frozenset(tasks[task] for task in done if task.result())

    async def _try(self, wanted: CallInput) -> bool:
        try:
            view = await calls.load(self.store, wanted.run, wanted.turn, wanted.index)
            if view.call.status != "open":
                return True
            if view.is_held:
                return False
            status, answer = await self._answer(view)
            await self._record(wanted, status, answer)
        except Exception:  # noqa: BLE001 the call runs again in its own activity, which records the error
            activity.logger.warning("a read is left to its own activity", exc_info=True)
            return False
        return True

    async def _record(
        self, wanted: CallInput, status: CallStatus, answer: Told
    ) -> None:
        await calls.answer_read(
            self.store,
            CallRef(run=wanted.run, turn=wanted.turn, index=wanted.index),
            status=status,
            answer=answer,
        )

    async def _answer(self, view: CallView) -> tuple[CallStatus, Told]:
        if view.off is not None:
            return "denied", model_notices.read_off(
                tool=view.call.tool, reason=view.off
            )
        if view.spec.is_action:
            return "refused", model_notices.read_of_action(tool=view.call.tool)
        context = self.toolbox.context(view.run, view.id)
        try:
            async with asyncio.timeout(TIMEOUT.total_seconds()):
                result = await self.toolbox.carry_out(
                    view.call.tool, view.call.arguments, context
                )
        except ToolError as error:
            return "failed", notice_of(error)
        words, _ = await as_read_by_model(result, view.release, view.call.tool)
        return "done", ToolData(words)


def _name(wanted: CallInput) -> str:
    return f"{wanted.run}:{wanted.turn}.{wanted.index}"
