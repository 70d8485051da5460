"""The baseline's workflow: two activities a turn, references in its history."""

from datetime import timedelta

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RetryPolicy

TIMEOUT = timedelta(seconds=60)
HEARTBEAT = timedelta(seconds=5)
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1))


class Job(BaseModel):
    """Which loop, how many turns, and how many of them a request carries."""

    name: str
    turns: int
    window: int | None = None


class Turn(BaseModel):
    """One turn of a loop."""

    job: Job
    number: int


class Done(BaseModel):
    """A reference to what is kept outside the history."""

    number: int


@workflow.defn(name="bare")
class BareLoop:
    """Two activities a turn."""

    @workflow.run
    async def run(self, job: Job) -> Done:
        """Take the turns; in the one after the last, the model ends the loop."""
        for number in range(1, job.turns + 2):
            turn = Turn(
                job=Job(name=job.name, turns=job.turns, window=job.window),
                number=number,
            )
            await workflow.execute_activity(
                "bare_model",
                turn,
                result_type=Done,
                start_to_close_timeout=TIMEOUT,
                heartbeat_timeout=HEARTBEAT,
                retry_policy=RETRY,
            )
            if number > job.turns:
                break
            await workflow.execute_activity(
                "bare_tool",
                turn,
                result_type=Done,
                start_to_close_timeout=TIMEOUT,
                heartbeat_timeout=HEARTBEAT,
                retry_policy=RETRY,
            )
        return Done(number=job.turns)
