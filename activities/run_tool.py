"""The activity `run_tool`: one read, through readers alone."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity

from activities.interface import CallInput, ReadResult
from activities.toolbox import Toolbox, told
from orchestrator.status import CallStatus
from orchestrator.store import calls, turns
from orchestrator.store.calls import CallView
from orchestrator.store.engine import Store
from orchestrator.tool import ToolError

TIMEOUT = timedelta(seconds=30)
# Then the read is given up, and the contract's fallback for tools is taken.
LAST_ATTEMPT = 4


@dataclass(frozen=True)
class RunTool:
    """Carries out reads; their answers go to the store, not to the history."""

    store: Store
    toolbox: Toolbox

    @activity.defn(name="run_tool")
    async def __call__(self, wanted: CallInput) -> ReadResult:
        """Record the call's answer and return that it is there."""
        view = await calls.load(self.store, wanted.run, wanted.turn, wanted.index)
        if view.call.status != "open":
            return ReadResult()
        if view.held_by is not None:
            if await turns.stop(self.store, wanted.run, view.held_by):
                return ReadResult(kind="stopped")
            # It was lifted meanwhile, so nobody would ring: look again at once.
            return await self(wanted)
        status, words = await self._answer(view)
        await turns.answer_read(
            self.store,
            wanted.run,
            wanted.turn,
            wanted.index,
            status=status,
            words=words,
        )
        return ReadResult()

    async def _answer(self, view: CallView) -> tuple[CallStatus, str]:
        if view.off is not None:
            return "denied", f"{view.call.tool} is switched off: {view.off}."
        if view.spec.is_action:
            return "refused", f"{view.call.tool} is an action; it is not run as a read."
        context = self.toolbox.context(view.run, view.id)
        try:
            async with asyncio.timeout(TIMEOUT.total_seconds()):
                result = await self.toolbox.carry_out(
                    view.call.tool, view.call.arguments, context
                )
        except ToolError as error:
            return "failed", str(error)
        except Exception as error:
            if activity.info().attempt < LAST_ATTEMPT:
                raise
            activity.logger.exception("read failed for good")
            return "crashed", f"{view.call.tool} cannot be read now: {error}"
        return "done", told(result, view.release, view.call.tool)
