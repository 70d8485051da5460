"""The activity `run_tool`: one read, through readers alone."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity

from activities.interface import CallInput, ReadResult
from activities.toolbox import Toolbox, told
from orchestrator.status import CallStatus
from orchestrator.store import calls, steps
from orchestrator.store.calls import CallView
from orchestrator.store.engine import Store
from orchestrator.tool import ToolError

TIMEOUT = timedelta(seconds=30)
# Then the read is given up, and the contract's fallback for tools is taken.
LAST_ATTEMPT = 4
# A read that takes no longer is answered within its turn: it saves two trips to Temporal
# and back, which is most of what a quick read costs.
AT_ONCE_S = 1.0


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
            if await steps.stop(self.store, wanted.run, view.held_by):
                return ReadResult(kind="stopped")
            # It was lifted meanwhile, so nobody would ring: look again at once.
            return await self(wanted)
        is_last = activity.info().attempt >= LAST_ATTEMPT
        status, words = await self._answer(view, is_last=is_last)
        await self._record(wanted, status, words)
        return ReadResult()

    async def at_once(self, wanted: Sequence[CallInput]) -> frozenset[int]:
        """Answer reads within their turn; return the indexes of those that have answers.

        What is held, breaks or takes longer is left open for an activity of its own.
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
            if view.held_by is not None:
                return False
            status, words = await self._answer(view, is_last=False)
            await self._record(wanted, status, words)
        except Exception:  # noqa: BLE001 its own activity reads again, and records it
            activity.logger.warning("a read is left to its own activity", exc_info=True)
            return False
        return True

    async def _record(self, wanted: CallInput, status: CallStatus, words: str) -> None:
        await calls.answer_read(
            self.store,
            wanted.run,
            wanted.turn,
            wanted.index,
            status=status,
            words=words,
        )

    async def _answer(self, view: CallView, *, is_last: bool) -> tuple[CallStatus, str]:
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
            if not is_last:
                raise
            activity.logger.exception("read failed for good")
            return "crashed", f"{view.call.tool} cannot be read now: {error}"
        words, _ = await told(result, view.release, view.call.tool)
        return "done", words
