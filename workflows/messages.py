"""Inputs and results of workflows: references, never contents."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from keyturn.activities.interface import GatedCall, StepStart


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class RunStart(_Message):
    """Which run a workflow carries out; its input is in the store.

    `effects_queue` is the effect worker's. `pause_s` is waited before the workflow's own
    code begins again, after it failed.
    """

    run: str
    effects_queue: str
    pause_s: float = 0


class ActStart(_Message):
    """Which step a loop carries out, and from where.

    `ends_run`: the step's output is the run's, so its last turn ends the run as well.
    """

    run: str
    step: int
    effects_queue: str
    turn: int
    start: StepStart | None = None
    ends_run: bool = False
    open: tuple[GatedCall, ...] = ()


class ActEnd(_Message):
    """How a step ended, and whether the run did; its output is in the store."""

    kind: Literal["final", "hand_off", "failed", "cancelled"]
    reason: str | None = None
    run_ended: bool = False


class Waiting(_Message):
    """What a run waits for, for the query `waiting`."""

    turn: int
    calls: tuple[int, ...]
    until: datetime | None
