"""Keys of calls, effects and approvals: one for each revision of a call."""

from keyturn.orchestrator.store.tables import (
    CallRow,
)


def call_id(call: CallRow) -> str:
    """Return `run:turn.index`."""
    return f"{call.run}:{call.turn}.{call.index}"


def effect_key(call: CallRow) -> str:
    """Return the one key of this revision of the call: `run:turn.index.revision`."""
    return f"{call_id(call)}.{call.revision}"


def approval_id(call: CallRow) -> str:
    """Return the id of the approval of this revision of the call."""
    return effect_key(call).replace(":", "-").replace(".", "-").replace("run-", "ap-")


def effective(call: CallRow) -> str:
    """Return the arguments that would be carried out, as canonical JSON."""
    return call.effective or call.arguments
