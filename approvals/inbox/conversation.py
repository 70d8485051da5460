"""The conversation and evidence behind an item, in its order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from keyturn.approvals.view.facts import answered, parsed
from keyturn.orchestrator.store.tables import CallRow, CustomerMessageRow, MessageRow


@dataclass(frozen=True)
class Entry:
    """A message or call; `is_asked` marks the call that the approval is about.

    `edited` holds the arguments after a person's edit of the model's `arguments`.
    """

    kind: Literal["customer", "model", "call"]
    text: str = ""
    is_new: bool = False
    call: CallRow | None = None
    arguments: JsonValue = None
    edited: JsonValue = None
    result: JsonValue = None
    is_asked: bool = False


def entries(
    messages: Sequence[MessageRow],
    calls: Sequence[CallRow],
    unread: Sequence[CustomerMessageRow],
    *,
    asked: tuple[int, int] | None = None,
) -> list[Entry]:
    """Return messages and calls turn by turn, then messages not yet read."""
    order: list[tuple[int, int, int, Entry]] = [
        (one.turn, 0, one.index, said) for one in messages if (said := _said(one))
    ]
    order += [(one.turn, 1, one.index, _call(one, asked)) for one in calls]
    found = [entry for _, _, _, entry in sorted(order, key=lambda one: one[:3])]
    found += [
        Entry("customer", text=one.text, is_new=True)
        for one in unread
        if one.turn is None
    ]
    return found


def words_of(message: MessageRow) -> str:
    """Return a message's text: the model's is stored as JSON."""
    if message.role == "user":
        return message.text
    said = parsed(message.text)
    words = said.get("text") if isinstance(said, dict) else said
    return words if isinstance(words, str) else ""


def _said(message: MessageRow) -> Entry | None:
    words = words_of(message)
    # A step's first message repeats the run's input.
    if not words or (message.role == "user" and words.startswith("<input>")):
        return None
    return Entry("customer" if message.role == "user" else "model", text=words)


def _call(call: CallRow, asked: tuple[int, int] | None) -> Entry:
    return Entry(
        "call",
        call=call,
        arguments=parsed(call.arguments),
        edited=parsed(call.effective) if call.effective else None,
        result=answered(call.result),
        is_asked=(call.turn, call.index) == asked,
    )
