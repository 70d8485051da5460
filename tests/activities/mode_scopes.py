"""What a switch's scope can name, and which scopes bear on a row of the table of modes."""

from collections.abc import Mapping

# What a switch's scope can name, as a run of the desk meets it.
WHOLE: Mapping[str, dict[str, str]] = {
    "everything": {},
    "workflow": {"workflow": "desk"},
    "tenant": {"tenant": "default"},
}
TOOLS: Mapping[str, dict[str, str]] = {
    "tool": {"tool": "TOOL"},
    "corpus": {"corpus": "help"},
    "tool of a workflow": {"tool": "TOOL", "workflow": "desk"},
}
MODELS: Mapping[str, dict[str, str]] = {
    "alias": {"model": "standard"},
    "target": {"model": "openai/gpt-5.2"},
    "model": {"model": "gpt-5.2"},
    "provider": {"provider": "openai"},
}
NEW_RUN = "a new run"
CALL = "a model call"
READ = "a read"
DRAFT = "an action that is drafted from now on"
WAITS = "an approval that is pending or was given"
DIED = "an action that a dead worker may have sent"
END = "the run's end"
# Which scopes bear on a row: what names a model does not bear on a tool's call.
SCOPES: Mapping[str, Mapping[str, dict[str, str]]] = {
    NEW_RUN: WHOLE,
    CALL: {**WHOLE, **MODELS},
    READ: {**WHOLE, **TOOLS},
    DRAFT: {**WHOLE, **TOOLS},
    WAITS: {**WHOLE, **TOOLS},
    DIED: {**WHOLE, **TOOLS},
    END: WHOLE,
}
