"""Keyturn: an operating system around the model. These names are what an app imports.

Each name is loaded when it is first asked for: the command line and the demo's programs
start in a third of the time without pydantic and Temporal's SDK.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keyturn.orchestrator import (
        Alias,
        Budget,
        Compensate,
        Connectors,
        Contract,
        DataClass,
        Escalation,
        Fallback,
        Limit,
        Mail,
        Money,
        Retention,
        Rule,
        Tool,
        ToolContext,
        ToolError,
        tool,
    )
    from keyturn.workflows.agent import AgentWorkflow

__all__ = [
    "AgentWorkflow",
    "Alias",
    "Budget",
    "Compensate",
    "Connectors",
    "Contract",
    "DataClass",
    "Escalation",
    "Fallback",
    "Limit",
    "Mail",
    "Money",
    "Retention",
    "Rule",
    "Tool",
    "ToolContext",
    "ToolError",
    "tool",
]


def __getattr__(name: str) -> object:
    """Load one of the names above from the package that has it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "workflows.agent" if name == "AgentWorkflow" else "orchestrator"
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
