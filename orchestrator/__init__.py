"""Keyturn's rules and record; these names are what an application imports.

Each name is loaded when it is first asked for: the command line and the demo's programs
lie in this package too, and start in a third of the time without pydantic.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keyturn.orchestrator.rules.contract.connector import Connectors, Mail
    from keyturn.orchestrator.rules.contract.contract import (
        Contract,
        Fallback,
        Retention,
    )
    from keyturn.orchestrator.rules.contract.model import Alias
    from keyturn.orchestrator.rules.contract.tool import (
        Compensate,
        DataClass,
        Tool,
        ToolContext,
        ToolError,
        tool,
    )
    from keyturn.orchestrator.rules.money.budget import Budget, Limit
    from keyturn.orchestrator.rules.money.money import Money
    from keyturn.orchestrator.rules.policy.rules import Escalation, Rule

__all__ = [
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

# Where each name lies; tests/architecture compares this with the imports above.
_MODULES = {
    "contract.connector": ("Connectors", "Mail"),
    "contract.contract": ("Contract", "Fallback", "Retention"),
    "contract.model": ("Alias",),
    "contract.tool": (
        "Compensate",
        "DataClass",
        "Tool",
        "ToolContext",
        "ToolError",
        "tool",
    ),
    "money.budget": ("Budget", "Limit"),
    "money.money": ("Money",),
    "policy.rules": ("Escalation", "Rule"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Load the module that has one of the names above, and return the name's value."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.rules.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
