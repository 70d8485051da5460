"""The states that runs, calls, approvals and effects pass through."""

from typing import Literal

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
EffectStatus = Literal[
    "leased", "sending", "done", "failed", "unknown", "undone", "refused"
]
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
