"""The state of an item, in words for its viewer."""

from dataclasses import dataclass
from typing import Literal

from keyturn.approvals.view import wording
from keyturn.orchestrator.rules.status import ENDED_RUNS
from keyturn.orchestrator.rules.text import model_notices
from keyturn.orchestrator.store.approvals import siblings
from keyturn.orchestrator.store.tables import DecisionRow
from keyturn.orchestrator.store.views.item import Item

Look = Literal["calm", "good", "bad", "warn"]


@dataclass(frozen=True)
class State:
    """Whether an item takes answers, and the headline about its state."""

    is_open: bool
    title: str = ""
    words: str = ""
    look: Look = "calm"


def of(item: Item, stop: str) -> State:
    """Return an item's current state; `stop` says in words what holds its run."""
    if item.approval.status == "waiting" and item.run.status not in ENDED_RUNS:
        return _waiting(item)
    if item.approval.status not in ("pending", "waiting"):
        return _closed(item, stop)
    if item.run.status in ENDED_RUNS:
        words, _ = wording.RUN[item.run.status]
        return State(
            is_open=False,
            title=f"The run has ended: {words.lower()}",
            words="There is nothing left to decide. Nothing was sent for this item.",
        )
    return _pending(item, stop)


def _waiting(item: Item) -> State:
    tools = ", ".join(one.tool for one in item.waits_for)
    return State(
        is_open=True,
        title=f"Waiting for {tools or 'another action'}",
        words=f"It mentions {siblings.not_settled(item.waits_for)}. Nobody can approve "
        "it before that is settled. Then it is offered for approval, or, if it would be "
        "untrue, it is void and drafted again. You can reject it now.",
    )


def _pending(item: Item, stop: str) -> State:
    if item.approval.binding is None:
        return State(
            is_open=True,
            title="Being prepared",
            words="Its facts are read again after an edit. "
            + (
                f"The run is stopped by {stop}; they are read when it continues."
                if stop
                else "Look again in a moment."
            ),
        )
    if stop:
        return State(
            is_open=True,
            title=f"Stopped by {stop}",
            words="You can decide now; nothing is sent before the run continues. The "
            "deadline of this item is suspended.",
            look="warn",
        )
    return State(is_open=True)


# After a decision: the headline, its consequence, and its colour.
_DECIDED: dict[str, tuple[str, str, Look]] = {
    "approved": ("Approved", "", "good"),
    "rejected": ("Rejected", " Nothing is sent; the model reads the reason.", "bad"),
    "changes": ("Sent back for changes", " The model drafts it again.", "warn"),
}


def _closed(item: Item, stop: str) -> State:
    status, because = item.approval.status, item.approval.closed_because or ""
    if status in _DECIDED:
        title, follows, look = _DECIDED[status]
        if status == "approved" and stop and item.effect is None:
            title, look = f"Approved, and stopped by {stop}", "warn"
            follows = " Nothing was sent yet; it is sent when the run continues."
        words = f"{_who(item.decisions)}.{follows}"
        return State(is_open=False, title=title, words=words, look=look)
    if status == "expired":
        words = "Nobody answered in time, so it was not done. The model was told."
        return State(is_open=False, title="Expired", words=words, look="warn")
    if because == model_notices.customer_wrote():
        return State(
            is_open=False,
            title="The customer wrote again",
            words="This draft is void: it was made before the new message. The model "
            "reads the message and drafts again.",
            look="warn",
        )
    title = "Cancelled" if status == "cancelled" else "No longer valid"
    why = because or "what it was based on has changed"
    words = f"{_sentence(why)} Nothing was sent for it."
    return State(is_open=False, title=title, words=words, look="warn")


def _sentence(why: str) -> str:
    """Return a reason as a sentence; a tool's name keeps its spelling."""
    first, _, _ = why.partition(" ")
    start = why[:1] if "_" in first else why[:1].upper()
    return f"{start}{why[1:].rstrip('.')}."


def _who(decisions: list[DecisionRow]) -> str:
    if not decisions:
        return "It was decided"
    return "; ".join(_did(one) for one in decisions)


_DID = {"approve": "approved it", "reject": "rejected it", "change": "sent it back"}


def _did(one: DecisionRow) -> str:
    edits = " with edits" if one.arguments else ""
    return f"{one.person_name} {_DID[one.decision]}{edits}"
