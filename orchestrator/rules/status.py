"""The states that runs, calls, approvals and effects pass through."""

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
# `open` until there is an answer for the model; then what became of it.
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

# The workflow of a run that takes back an effect; no contract has this name.
COMPENSATE = "keyturn.compensate"

# Where a run fails that no code of its workflow sees; it ends with the run.
IN_TEMPORAL = "the workflow in Temporal"

ENDED_RUNS: frozenset[RunStatus] = frozenset(
    {"completed", "handed_off", "failed", "cancelled"}
)
# What still occupies a subject: nothing else may act on it meanwhile.
OPEN_EFFECTS: frozenset[EffectStatus] = frozenset({"leased", "sending", "unknown"})
# What counts as money moved, or that may have moved.
COUNTED_EFFECTS: frozenset[EffectStatus] = frozenset({*OPEN_EFFECTS, "done"})
# What may still come to something: `waiting` is asked once what it speaks of is done.
OPEN_APPROVALS: frozenset[ApprovalStatus] = frozenset(
    {"waiting", "pending", "approved"}
)
ANSWERED_NO: frozenset[ApprovalStatus] = frozenset({"rejected", "changes"})
# A decision of these can be taken back until its effect has begun.
UNDOABLE: frozenset[ApprovalStatus] = frozenset({"approved", *ANSWERED_NO})

Status = TypeVar("Status", bound=str)
# Which statuses may follow one. One that may follow itself is written again with new
# facts. The page docs/reference/statuses.md says the same; a test compares the two.
Transitions = Mapping[Status, frozenset[Status]]

RUN_TRANSITIONS: Transitions[RunStatus] = {
    "queued": frozenset({"queued", "running", "waiting", "stopped", *ENDED_RUNS}),
    "running": frozenset({"running", "waiting", "stopped", *ENDED_RUNS}),
    "waiting": frozenset({"running", "waiting", "stopped", *ENDED_RUNS}),
    "stopped": frozenset({"queued", "running", "waiting", "stopped", *ENDED_RUNS}),
    # Something that an ended run did failed later: people settle that.
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
    # A decision is undone: it is asked anew, as the call's next revision.
    "rejected": frozenset({"void"}),
    "changes": frozenset({"void"}),
    "expired": frozenset(),
    "void": frozenset(),
    "cancelled": frozenset(),
}
EFFECT_TRANSITIONS: Transitions[EffectStatus] = {
    # A receipt of an earlier attempt may come while the next one is leased.
    "leased": frozenset({"leased", "sending", "done", "unknown", "refused"}),
    "sending": frozenset({"leased", "done", "failed", "unknown"}),
    # Its own attempt may say late that nothing was sent.
    "unknown": frozenset({"leased", "done", "failed", "unknown"}),
    # A person found that it did not stay done.
    "done": frozenset({"failed"}),
    # A late receipt: it happened after somebody concluded that it had not.
    "failed": frozenset({"done"}),
    # Nothing was sent, so what held it back may be over.
    "refused": frozenset({"leased"}),
}


def is_allowed(transitions: Transitions[Status], was: Status, to: Status) -> bool:
    """Tell whether a row with the one status may get the other."""
    return to in transitions[was]


def sources(transitions: Transitions[Status], to: Status) -> frozenset[Status]:
    """Return the statuses that this one may follow."""
    return frozenset(was for was, after in transitions.items() if to in after)
