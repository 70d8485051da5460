"""The tool loop: a child workflow, the only one that continues as new."""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from keyturn.activities.interface import (
        STILL_OPEN,
        ActResult,
        CallInput,
        GatedCall,
        ThinkInput,
        ThinkResult,
    )

from keyturn.workflows import stubs
from keyturn.workflows.messages import ActEnd, ActStart, Waiting

# Short histories replay fast after a worker's death; the server suggests far later.
TURNS_PER_EXECUTION = 200


@workflow.defn(name="act")
class ActLoop:
    """Thinks, carries out what was asked for, waits for people, and thinks again."""

    @workflow.init
    def __init__(self, start: ActStart) -> None:
        """Start where the previous execution stopped."""
        self._start = start
        self._turn = start.turn
        self._bells = 0
        self._waits: dict[int, datetime | None] = {}
        self._alarms = 0

    @workflow.signal(name="ring")
    def ring(self, *ignored: object) -> None:
        """Wake the loop, which then reads from the store what happened.

        Ignores any payload: a forged signal must not fail the workflow.
        """
        del ignored
        self._bells += 1

    @workflow.query(name="waiting")
    def waiting(self) -> Waiting:
        """Return what the loop waits for."""
        return Waiting(
            turn=self._turn, calls=tuple(self._waits), until=self._deadline()
        )

    @workflow.run
    async def run(self, start: ActStart) -> ActEnd:
        """Return how the step ended."""
        if start.open:
            await self._settle(start.open, heard=None)
            self._turn += 1
        begin, first = start.start, self._turn
        while True:
            if self._turn - first >= TURNS_PER_EXECUTION or self._is_long():
                self._continue(())
            heard = self._bells
            result = await stubs.think(
                ThinkInput(
                    run=start.run,
                    step=start.step,
                    turn=self._turn,
                    start=begin,
                    ends_run=start.ends_run,
                )
            )
            begin = None
            if result.kind == "stopped":
                await self._another_bell(heard)
            elif result.kind == "calls":
                # A stored turn may be old: what a call waits for may have happened.
                known = None if result.stored else heard
                await self._settle(result.calls, heard=known)
                self._turn += 1
            else:
                return _end(result)

    async def _another_bell(self, heard: int) -> None:
        await workflow.wait_condition(lambda: self._bells != heard)

    async def _settle(self, calls: tuple[GatedCall, ...], *, heard: int | None) -> None:
        """Carry out one turn's calls; a call that waits never blocks the others."""
        pending = [call for call in calls if call.gate != "denied"]
        first = [self._begin(call, heard) for call in pending if not call.last]
        last = [self._begin(call, heard, after=first) for call in pending if call.last]
        tasks = dict(zip([c for c in pending if not c.last], first, strict=True))
        tasks.update(zip([c for c in pending if c.last], last, strict=True))
        while not all(task.done() for task in tasks.values()):
            await self._until_change(list(tasks.values()))
            still = [call for call, task in tasks.items() if not task.done()]
            if self._is_long() and still and self._are_waiting(still):
                self._continue(tuple(call for call in pending if call in still))
        for task in tasks.values():
            task.result()

    def _begin(
        self,
        call: GatedCall,
        heard: int | None,
        after: list["asyncio.Task[None]"] | None = None,
    ) -> "asyncio.Task[None]":
        return asyncio.create_task(self._carry_out(call, heard, after or []))

    async def _carry_out(
        self, call: GatedCall, heard: int | None, after: list["asyncio.Task[None]"]
    ) -> None:
        # A message to the customer waits until its turn's other actions have ended.
        await workflow.wait_condition(lambda: all(task.done() for task in after))
        wanted = CallInput(run=self._start.run, turn=self._turn, index=call.index)
        # After siblings it is checked at once: a sibling that was not done voids it.
        if call.gate == "wait" and heard is not None and not after:
            await self._bell_or(call.index, call.until, heard=heard)
        while True:
            before = self._bells
            answer = await self._look(call, wanted)
            if answer is None or answer.kind not in STILL_OPEN:
                return
            await self._bell_or(call.index, answer.until, heard=before)

    async def _look(self, call: GatedCall, wanted: CallInput) -> ActResult | None:
        """Return the result of an action; None for a read that is answered."""
        if call.gate == "read":
            read = await stubs.run_tool(wanted)
            return ActResult(kind="stopped") if read.kind == "stopped" else None
        return await stubs.perform(wanted, queue=self._start.effects_queue)

    async def _bell_or(self, index: int, until: datetime | None, *, heard: int) -> None:
        """Wait for a signal later than `heard`, or for the time."""
        self._waits[index] = until
        await workflow.wait_condition(
            lambda: (
                self._bells != heard or (until is not None and workflow.now() >= until)
            )
        )
        del self._waits[index]

    async def _until_change(self, tasks: list["asyncio.Task[None]"]) -> None:
        """Wait until a task ends or the next deadline passes: one timer for all."""
        done = sum(task.done() for task in tasks)
        deadline, waits = self._deadline(), dict(self._waits)
        left = None if deadline is None else deadline - workflow.now()
        if left is not None and left <= timedelta(0):
            # This deadline has passed: calls that wait for it wake by the time.
            left = None
        try:
            await workflow.wait_condition(
                lambda: (
                    sum(task.done() for task in tasks) != done
                    or self._waits != waits
                    or (self._is_long() and bool(self._waits))
                ),
                timeout=left,
            )
        except TimeoutError:
            # The deadline has passed; calls that wait for it compare the time now.
            self._alarms += 1

    def _deadline(self) -> datetime | None:
        return min((t for t in self._waits.values() if t is not None), default=None)

    def _are_waiting(self, calls: list[GatedCall]) -> bool:
        """Return whether none of these calls has an activity in progress."""
        in_wait = all(call.index in self._waits for call in calls if not call.last)
        return in_wait and bool(self._waits)

    def _is_long(self) -> bool:
        return workflow.info().is_continue_as_new_suggested()

    def _continue(self, still: tuple[GatedCall, ...]) -> None:
        workflow.continue_as_new(
            ActStart(
                run=self._start.run,
                step=self._start.step,
                effects_queue=self._start.effects_queue,
                turn=self._turn,
                start=None,
                ends_run=self._start.ends_run,
                open=still,
            )
        )


def _end(result: ThinkResult) -> ActEnd:
    match result.kind:
        case "final" | "hand_off" | "failed" | "cancelled":
            return ActEnd(
                kind=result.kind, reason=result.reason, run_ended=result.run_ended
            )
        case "calls" | "stopped":
            raise AssertionError(result.kind)
