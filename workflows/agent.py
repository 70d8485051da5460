"""`AgentWorkflow`: the base class of an application's workflows."""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Generic, NoReturn, TypeVar, cast

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
)

with workflow.unsafe.imports_passed_through():
    import traceback

    from keyturn.activities import overheard
    from keyturn.activities.interface import (
        FaultInput,
        FinishInput,
        StepStart,
        ThinkInput,
        ThinkResult,
    )
    from keyturn.orchestrator.rules.contract.contract import Contract
    from keyturn.orchestrator.rules.errors import ContractError
    from keyturn.orchestrator.rules.money.budget import TURNS_PER_STEP

from keyturn.workflows import stubs
from keyturn.workflows.act import ActLoop
from keyturn.workflows.messages import ActEnd, ActStart, RunStart

In = TypeVar("In", bound=BaseModel)
Out = TypeVar("Out", bound=BaseModel)
Answer = TypeVar("Answer", bound=BaseModel)

# A custom `run` never continues as new, so its history must fit Temporal's limits.
MOST_ASKS = 200


class Ref(BaseModel, Generic[Out]):
    """The output of a step, which is in the store: return it from `run`."""

    step: int


Entry = Callable[["AgentWorkflow[Any, Any]", RunStart], Awaitable[None]]


class _Ending(Exception):
    def __init__(self, end: ActEnd) -> None:
        self.end = end
        super().__init__(end.kind)


class AgentWorkflow(Generic[In, Out]):
    """A workflow under a contract: `class X(AgentWorkflow[In, Out], contract=C)`.

    The default `run` is the tool loop. A `run` of one's own combines `ask`, `act` and
    `hand_off`, and returns the `Ref` of the step whose output is the run's.
    """

    contract: ClassVar[Contract]

    def __init_subclass__(cls, *, contract: Contract | None = None) -> None:
        """Make the subclass a Temporal workflow under the contract's name."""
        super().__init_subclass__()
        if contract is None:
            raise ContractError(
                f"{cls.__name__} has no contract: write `class {cls.__name__}("
                "AgentWorkflow[In, Out], contract=YOUR_CONTRACT)`."
            )
        cls.contract = contract

        # Temporal would take an annotated `self` for an argument.
        async def execute(self, start: RunStart) -> None:  # noqa: ANN001 # pyright: ignore[reportMissingParameterType, reportUnknownParameterType] see above
            await cast("AgentWorkflow[In, Out]", self)._execute(start)

        # Temporal requires the entry point to be defined on the registered class.
        execute.__qualname__ = f"{cls.__qualname__}.execute"
        execute.__module__ = cls.__module__
        setattr(cls, "execute", workflow.run(cast("Entry", execute)))  # noqa: B010 the name is set dynamically on every subclass
        workflow.defn(cls, name=contract.name)  # pyright: ignore[reportCallIssue, reportArgumentType] the decorator's plain form

    def __init__(self) -> None:
        """Start with no step taken."""
        self._bells = 0
        self._step = 0
        self._asks = 0
        self._acted = set[int]()
        self._is_ended = False
        self._start = RunStart(run="", effects_queue="")

    @workflow.signal(name="ring")
    def ring(self, *ignored: object) -> None:
        """Wake the workflow, which then reads from the store what happened.

        Ignores any payload: a forged signal must not fail the workflow.
        """
        del ignored
        self._bells += 1

    async def run(self) -> Ref[Out]:
        """Return the reference to the run's output; by default the tool loop's."""
        # A custom `run` that calls this one may have more steps to do.
        is_all = type(self).run is AgentWorkflow[In, Out].run
        return await self._act("act", "", ends_run=is_all)

    async def act(self, step: str, *, instructions: str = "") -> Ref[Out]:
        """Run one tool loop as a child workflow; return the reference to its output."""
        return await self._act(step, instructions, ends_run=False)

    async def _act(self, step: str, instructions: str, *, ends_run: bool) -> Ref[Out]:
        number = self._next_step()
        end = await workflow.execute_child_workflow(
            ActLoop.run,
            ActStart(
                run=self._start.run,
                step=number,
                effects_queue=self._start.effects_queue,
                turn=_first_turn(number),
                start=StepStart(name=step, instructions=instructions),
                ends_run=ends_run,
            ),
            id=f"{self._start.run}/act/{number}",
            # A loop that outlived its lost parent is terminated: the record continues.
            id_reuse_policy=WorkflowIDReusePolicy.TERMINATE_IF_RUNNING,
            task_timeout=workflow.info().task_timeout,
        )
        if end.kind != "final":
            raise _Ending(end)
        self._is_ended = end.run_ended
        self._acted.add(number)
        return Ref[Out](step=number)

    async def ask(
        self, step: str, answer: type[Answer], *, instructions: str
    ) -> Answer:
        """Return one structured answer to branch on, at most 16 kB; without tools."""
        self._asks += 1
        if self._asks > MOST_ASKS:
            _fail(f"a run asks at most {MOST_ASKS} times")
        number = self._next_step()
        start = StepStart(
            name=step,
            kind="ask",
            instructions=instructions,
            output_schema=answer.model_json_schema(),
        )
        result = await self._think_until_answer(number, start)
        if result.kind != "final":
            _end(result)
        return answer.model_validate(result.value)

    async def hand_off(self, reason: str) -> NoReturn:
        """End the run by handing it to a person, with everything gathered so far."""
        raise _Ending(ActEnd(kind="hand_off", reason=reason))

    async def _think_until_answer(self, number: int, start: StepStart) -> ThinkResult:
        while True:
            heard = self._bells
            result = await stubs.think(
                ThinkInput(
                    run=self._start.run,
                    step=number,
                    turn=_first_turn(number),
                    start=start,
                )
            )
            if result.kind != "stopped":
                return result
            await workflow.wait_condition(lambda: self._bells != heard)  # noqa: B023 evaluated before the next iteration

    async def _execute(self, start: RunStart) -> None:
        self._start = start
        if start.pause_s:
            # The pause precedes the author's code, so that repaired code continues.
            await workflow.sleep(start.pause_s)
        try:
            output = await self.run()
            self._check_acted(output)
            if not self._is_ended:
                await self._finish(
                    FinishInput(run=start.run, outcome="completed", step=output.step)
                )
        except _Ending as ending:
            await self._finish(_finish(start.run, ending.end))
        except (ActivityError, ChildWorkflowError):
            # A lost loop fails its run, too, which is then started again (P9).
            raise
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 the author's code may raise anything; recorded, with limited retries
            await self._fault(error)

    def _check_acted(self, output: Ref[Out]) -> None:
        """Refuse a hand-made reference: the record would treat it as a forged end."""
        if output.step not in self._acted:
            raise ContractError(
                f"`run` returned Ref(step={output.step}), which is no step that this run "
                "took with `act`; return what `act` returned."
            )

    async def _fault(self, error: BaseException) -> None:
        """Restart from the record a few times, then take the fallback."""
        answer = await stubs.fault(_fault(self._start.run, error))
        if answer.kind == "again":
            # A new execution: the author's code may have been repaired, and the record
            # returns every step that is already done.
            start = RunStart(
                run=self._start.run,
                effects_queue=self._start.effects_queue,
                pause_s=answer.pause_s,
            )
            workflow.continue_as_new(start)
        end = ActEnd(kind=answer.kind, reason="code_error")
        await self._finish(_finish(self._start.run, end))

    async def _finish(self, how: FinishInput) -> None:
        while True:
            heard = self._bells
            if (await stubs.finish(how)).kind == "ended":
                return
            # A pause or a halt delays the end; lifting it sends a signal.
            await workflow.wait_condition(lambda: self._bells != heard)  # noqa: B023 evaluated before the next iteration

    def _next_step(self) -> int:
        self._step += 1
        return self._step


def _fault(run: str, error: BaseException) -> FaultInput:
    overheard.leave(run, f"{type(error).__name__}: {error}")
    workflow.logger.exception("the workflow's own code failed")
    frames = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    lines = [line for _, line in traceback.walk_tb(error.__traceback__)]
    return FaultInput(
        run=run,
        kind=type(error).__name__,
        where=f"{frames[-1].co_filename.rpartition('/')[2]}:{lines[-1]}",
        is_final=isinstance(error, ApplicationError) and error.non_retryable,
    )


def _first_turn(step: int) -> int:
    return (step - 1) * TURNS_PER_STEP + 1


def _finish(run: str, end: ActEnd) -> FinishInput:
    match end.kind:
        case "hand_off":
            return FinishInput(run=run, outcome="handed_off", reason=end.reason)
        case "cancelled":
            return FinishInput(run=run, outcome="cancelled", reason=end.reason)
        case "failed" | "final":
            return FinishInput(run=run, outcome="failed", reason=end.reason)


def _end(result: ThinkResult) -> NoReturn:
    match result.kind:
        case "hand_off" | "failed" | "cancelled":
            raise _Ending(ActEnd(kind=result.kind, reason=result.reason))
        case _:
            raise AssertionError(result.kind)


def _fail(reason: str) -> NoReturn:
    raise _Ending(ActEnd(kind="failed", reason=reason))
