"""The statuses of runs, calls, approvals and effects."""

from collections.abc import Mapping
from typing import Literal, TypeVar

RunStatus = Literal[
    "queued",
    "running",
    "waiting",
    "stopped",
    "completed",
    "handed_off",
    "failed",
    "cancelled",
]
ApprovalStatus = Literal[
    "waiting",
    "pending",
    "approved",
    "rejected",
    "changes",
    "expired",
    "void",
    "cancelled",
]
EffectStatus = Literal["leased", "sending", "done", "failed", "unknown", "refused"]
# `open` until there is an answer for the model; then the outcome.
CallStatus = Literal[
    "open",
    "done",
    "failed",
    "crashed",
    "denied",
    "rejected",
    "refused",
    "expired",
    "void",
]
Gate = Literal["read", "act", "wait", "denied"]

IncidentStatus = Literal["open", "closed"]
Severity = Literal["low", "high", "critical"]
ReconciliationStatus = Literal["asked", "running", "matched", "failed"]
# A bulk action, which changes many runs.
BulkVerb = Literal["pause", "resume", "cancel"]

# The workflow of a run that reverses an effect; no contract may have this name.
COMPENSATE = "keyturn.compensate"

# The place of a fault that no code of the workflow sees; it ends with the run.
IN_TEMPORAL = "the workflow in Temporal"

ENDED_RUNS: frozenset[RunStatus] = frozenset(
    {"completed", "handed_off", "failed", "cancelled"}
)
# These still occupy a subject: no other effect may act on it meanwhile.
OPEN_EFFECTS: frozenset[EffectStatus] = frozenset({"leased", "sending", "unknown"})
# These count as money that moved, or may have moved.
COUNTED_EFFECTS: frozenset[EffectStatus] = frozenset({*OPEN_EFFECTS, "done"})
# These may still lead to an effect: `waiting` is asked once its predecessor is done.
OPEN_APPROVALS: frozenset[ApprovalStatus] = frozenset(
    {"waiting", "pending", "approved"}
)
ANSWERED_NO: frozenset[ApprovalStatus] = frozenset({"rejected", "changes"})
# A decision with one of these can be undone until its effect has begun.
UNDOABLE: frozenset[ApprovalStatus] = frozenset({"approved", *ANSWERED_NO})

Status = TypeVar("Status", bound=str)
# Which statuses may follow each one. A status that may follow itself is written again
# with new facts. A test compares this with the page docs/reference/statuses.md.
Transitions = Mapping[Status, frozenset[Status]]

RUN_TRANSITIONS: Transitions[RunStatus] = {
    "queued": frozenset({"queued", "running", "waiting", "stopped", *ENDED_RUNS}),
    "running": frozenset({"running", "waiting", "stopped", *ENDED_RUNS}),
    "waiting": frozenset({"running", "waiting", "stopped", *ENDED_RUNS}),
    "stopped": frozenset({"queued", "running", "waiting", "stopped", *ENDED_RUNS}),
    # An effect of an ended run failed later: people resolve that.
    "completed": frozenset({"handed_off"}),
    "handed_off": frozenset({"handed_off"}),
    "failed": frozenset({"handed_off"}),
    "cancelled": frozenset({"handed_off"}),
}
CALL_TRANSITIONS: Transitions[CallStatus] = {
    "open": frozenset(
        {
            "done",
            "failed",
            "crashed",
            "denied",
            "rejected",
            "refused",
            "expired",
            "void",
        }
    ),
    "done": frozenset(),
    "failed": frozenset(),
    "crashed": frozenset(),
    "denied": frozenset(),
    "rejected": frozenset(),
    "refused": frozenset(),
    "expired": frozenset(),
    "void": frozenset(),
}
APPROVAL_TRANSITIONS: Transitions[ApprovalStatus] = {
    "waiting": frozenset({"pending", *ANSWERED_NO, "void", "cancelled"}),
    "pending": frozenset({"approved", *ANSWERED_NO, "expired", "void", "cancelled"}),
    "approved": frozenset({"void", "cancelled"}),
    # A decision is undone: it is asked again, as the call's next revision.
    "rejected": frozenset({"void"}),
    "changes": frozenset({"void"}),
    "expired": frozenset(),
    "void": frozenset(),
    "cancelled": frozenset(),
}
EFFECT_TRANSITIONS: Transitions[EffectStatus] = {
    # A receipt of an earlier attempt may arrive while the next one is leased.
    "leased": frozenset({"leased", "sending", "done", "unknown", "refused"}),
    "sending": frozenset({"leased", "done", "failed", "unknown"}),
    # Its own attempt may report late that nothing was sent.
    "unknown": frozenset({"leased", "done", "failed", "unknown"}),
    # A person found that it did not stay done.
    "done": frozenset({"failed"}),
    # A late receipt: it happened after somebody concluded that it had not.
    "failed": frozenset({"done"}),
    # Nothing was sent; the reason for refusing it may be over.
    "refused": frozenset({"leased"}),
}


def is_allowed(transitions: Transitions[Status], was: Status, to: Status) -> bool:
    """Return whether a row may change from the one status to the other."""
    return to in transitions[was]


def sources(transitions: Transitions[Status], to: Status) -> frozenset[Status]:
    """Return the statuses that this one may follow."""
    return frozenset(was for was, after in transitions.items() if to in after)
