"""`Compensate`: one action that reverses an effect that was done, under a run's id."""

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy

with workflow.unsafe.imports_passed_through():
    from keyturn.activities.interface import FinishInput, StepStart
    from keyturn.orchestrator.rules.status import COMPENSATE

from keyturn.workflows import stubs
from keyturn.workflows.act import ActLoop
from keyturn.workflows.messages import ActEnd, ActStart, RunStart


@workflow.defn(name=COMPENSATE)
class Compensate:
    """Carries a compensating action through the same loop as any other action.

    No model is asked: `think` drafts the action from the effect's own record.
    """

    def __init__(self) -> None:
        """Start with no signal received."""
        self._bells = 0

    @workflow.signal(name="ring")
    def ring(self, *ignored: object) -> None:
        """Wake the workflow; its tool loop receives signals of its own."""
        del ignored
        self._bells += 1

    @workflow.run
    async def run(self, start: RunStart) -> None:
        """Return when the run's end is recorded."""
        end = await workflow.execute_child_workflow(
            ActLoop.run,
            ActStart(
                run=start.run,
                step=1,
                effects_queue=start.effects_queue,
                turn=1,
                start=StepStart(name="compensate"),
            ),
            id=f"{start.run}/act/1",
            id_reuse_policy=WorkflowIDReusePolicy.TERMINATE_IF_RUNNING,
            task_timeout=workflow.info().task_timeout,
        )
        how = _finish(start.run, end)
        while True:
            heard = self._bells
            if (await stubs.finish(how)).kind == "ended":
                return
            # A pause or a halt delays the end; lifting it sends a signal.
            await workflow.wait_condition(lambda: self._bells != heard)  # noqa: B023 evaluated before the next iteration


def _finish(run: str, end: ActEnd) -> FinishInput:
    match end.kind:
        case "final":
            return FinishInput(run=run, outcome="completed", step=1)
        case "cancelled":
            return FinishInput(run=run, outcome="cancelled", reason=end.reason)
        case "hand_off" | "failed":
            return FinishInput(run=run, outcome="handed_off", reason=end.reason)
