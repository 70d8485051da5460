"""A run's record, turn by turn."""

from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import JsonValue

from keyturn.approvals.inbox.conversation import words_of
from keyturn.approvals.view.facts import answered, parsed
from keyturn.orchestrator.store.budgets import settlement
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    AttemptRow,
    CallRow,
    DecisionRow,
    EffectRow,
    TurnRow,
)
from keyturn.orchestrator.store.views.timeline import Record


@dataclass
class Asked:
    """An approval with its decisions."""

    approval: ApprovalRow
    decisions: list[DecisionRow]


@dataclass
class Call:
    """One call with its approvals, oldest first, and its effects."""

    row: CallRow
    arguments: JsonValue
    result: JsonValue
    asked: list[Asked] = field(default_factory=list[Asked])
    effects: list[EffectRow] = field(default_factory=list[EffectRow])


@dataclass
class Turn:
    """One turn: its messages, attempts at a model, and calls."""

    number: int
    row: TurnRow | None = None
    customer: list[str] = field(default_factory=list[str])
    said: list[str] = field(default_factory=list[str])
    attempts: list[AttemptRow] = field(default_factory=list[AttemptRow])
    calls: list[Call] = field(default_factory=list[Call])

    @property
    def has_retries(self) -> bool:
        """Tell whether the turn took more than one attempt, or one failed."""
        return len(self.attempts) > 1 or any(one.error for one in self.attempts)

    @property
    def lost(self) -> int:
        """Return the number of requests lost with their workers."""
        return sum(one.failure == settlement.LOST for one in self.attempts)


At = Callable[[int], Turn]


def turns(record: Record) -> list[Turn]:
    """Return a run's turns in order, those in progress last."""
    found: dict[int, Turn] = {}

    def at(number: int) -> Turn:
        return found.setdefault(number, Turn(number))

    for row in record.turns:
        at(row.turn).row = row
    _say(record, at)
    for attempt in record.attempts:
        at(attempt.turn).attempts.append(attempt)
    _do(record, at)
    return [found[number] for number in sorted(found)]


def _say(record: Record, at: At) -> None:
    for message in record.messages:
        words = words_of(message)
        if message.role == "user" and not words.startswith("<input>"):
            at(message.turn).customer.append(words)
        elif message.role != "user" and words:
            at(message.turn).said.append(words)


def _do(record: Record, at: At) -> None:
    calls: dict[tuple[int, int], Call] = {}
    for row in record.calls:
        call = Call(row, parsed(row.effective or row.arguments), answered(row.result))
        calls[row.turn, row.index] = call
        at(row.turn).calls.append(call)
    for approval in record.approvals:
        given = [one for one in record.decisions if one.approval == approval.id]
        if (approval.turn, approval.index) in calls:
            calls[approval.turn, approval.index].asked.append(Asked(approval, given))
    for effect in record.effects:
        if (effect.turn, effect.index) in calls:
            calls[effect.turn, effect.index].effects.append(effect)
