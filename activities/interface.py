"""What workflows import of activities: messages and stubs, no code that acts."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue
from temporalio import activity

from keyturn.orchestrator.rules.status import Gate


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class StepStart(_Message):
    """What a step is told and must return; sent with its first turn alone.

    `output_schema` None: the contract's output.
    """

    name: str
    kind: Literal["act", "ask"] = "act"
    instructions: str = ""
    output_schema: dict[str, JsonValue] | None = None


class ThinkInput(_Message):
    """Which turn of which step of which run.

    `ends_run`: the step's output is the run's, so its last turn ends the run as well.
    """

    run: str
    step: int
    turn: int
    start: StepStart | None = None
    ends_run: bool = False


class GatedCall(_Message):
    """A call that the model asked for, and the gate before it.

    `last` marks a tool that speaks to the customer; `until` is an approval's deadline.
    """

    index: int
    gate: Gate
    last: bool = False
    until: datetime | None = None


class ThinkResult(_Message):
    """What a turn came to. `value` is an `ask`'s answer; `reason` a fallback's kind.

    `calls` leaves out reads that have been answered within the turn.
    `stored` marks a turn that was committed before this was asked.
    `run_ended`: the run's end was recorded with the turn.
    """

    kind: Literal["calls", "final", "stopped", "hand_off", "failed", "cancelled"]
    calls: tuple[GatedCall, ...] = ()
    reason: str | None = None
    value: JsonValue = None
    stored: bool = False
    run_ended: bool = False


class CallInput(_Message):
    """Which call of which turn."""

    run: str
    turn: int
    index: int


class ReadResult(_Message):
    """A read's answer is in the store; this says whether the run goes on."""

    kind: Literal["done", "stopped"] = "done"


ActKind = Literal[
    "done",
    "rejected",
    "failed",
    "waiting",
    "stopped",
    "not_before",
    "expired",
    "void",
    "refused",
    "unknown",
    "undone",
]
# After these the call is still open: wait for a signal or the time, then check again.
STILL_OPEN: frozenset[ActKind] = frozenset(
    {"waiting", "stopped", "not_before", "unknown"}
)


class ActResult(_Message):
    """What became of an action; `until` is when to look again without a bell."""

    kind: ActKind
    until: datetime | None = None


class FinishInput(_Message):
    """How a run ends; `step` names the step whose output is the run's."""

    run: str
    outcome: Literal["completed", "handed_off", "failed", "cancelled"]
    step: int | None = None
    reason: str | None = None


Ends = Literal["hand_off", "failed"]


class FaultInput(_Message):
    """An exception of a workflow's own code: its kind and place, never its words.

    `is_final`: its author says that trying again is of no use.
    """

    run: str
    kind: str
    where: str = ""
    is_final: bool = False


class FaultResult(_Message):
    """Whether the run begins again, after a pause, or how it ends."""

    kind: Literal["again"] | Ends
    pause_s: float = 0


class Finished(_Message):
    """The run's end is recorded, or waits for a pause or a halt to be lifted."""

    kind: Literal["ended", "stopped"] = "ended"


@activity.defn(name="think")
async def think(wanted: ThinkInput) -> ThinkResult:
    """Stub of `keyturn.activities.think.activity`."""
    raise NotImplementedError(wanted)


@activity.defn(name="run_tool")
async def run_tool(wanted: CallInput) -> ReadResult:
    """Stub of `keyturn.activities.run_tool`."""
    raise NotImplementedError(wanted)


@activity.defn(name="perform")
async def perform(wanted: CallInput) -> ActResult:
    """Stub of `keyturn.activities.perform`."""
    raise NotImplementedError(wanted)


@activity.defn(name="finish")
async def finish(wanted: FinishInput) -> Finished:
    """Stub of `keyturn.activities.finish`."""
    raise NotImplementedError(wanted)


@activity.defn(name="fault")
async def fault(wanted: FaultInput) -> FaultResult:
    """Stub of `keyturn.activities.fault`."""
    raise NotImplementedError(wanted)
