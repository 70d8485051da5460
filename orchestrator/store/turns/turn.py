"""A turn as it is committed, and the result of its commit."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.status import CallStatus
from keyturn.orchestrator.rules.text.model_notices import ModelNotice
from keyturn.orchestrator.store.budgets import settlement


class DraftedCall(BaseModel):
    """One call of a reply, checked, before policy has judged it.

    `preview` and `money` are read for an action; `answer` is set if the call has its
    answer already (a guard's notice) and is not carried out.
    """

    model_config = ConfigDict(frozen=True)

    index: int
    tool: str
    provider_id: str
    arguments: str
    preview: str = "{}"
    money: Money | None = None
    answer: ModelNotice | None = None
    answer_status: CallStatus = "denied"


class GaveUp(BaseModel):
    """Why a turn ended in a fallback, and what the model left for a person."""

    model_config = ConfigDict(frozen=True)

    reason: str
    left: str = ""


class Turn(BaseModel):
    """Everything that a turn commits; with `ends_run` also the run's end."""

    model_config = ConfigDict(frozen=True)

    run: str
    step: int
    turn: int
    provider: str | None = None
    model: str | None = None
    text: str = ""
    calls: tuple[DraftedCall, ...] = ()
    output: dict[str, JsonValue] | None = None
    attempt: str | None = None
    used: settlement.Used | None = None
    duration_ms: int = 0
    read_messages: tuple[int, ...] = ()
    gave_up: GaveUp | None = None
    ends_run: bool = False


@dataclass(frozen=True)
class Gated:
    """A committed call with its gate and, if it waits, its deadline."""

    index: int
    gate: Literal["read", "act", "wait", "denied"]
    last: bool
    until: datetime | None


@dataclass(frozen=True)
class Committed:
    """The result of a committed turn.

    `is_final`: its output is the step's output; `ends_run`: the run's end is committed
    with it.
    """

    calls: list[Gated]
    is_final: bool
    ends_run: bool


# Writes a turn's result as JSON text, within the transaction.
ToResult = Callable[[Committed], str]
