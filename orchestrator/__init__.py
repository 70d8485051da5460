"""Keyturn's rules and record; these names are what an application imports.

Each name is loaded when it is first asked for: the command line and the demo's programs
lie in this package too, and start in a third of the time without pydantic.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.budget import Budget, Limit
    from orchestrator.connector import Connectors, Mail
    from orchestrator.contract import Contract, Fallback, Retention
    from orchestrator.model import Alias
    from orchestrator.money import Money
    from orchestrator.policy import Escalation, Rule
    from orchestrator.tool import (
        Compensate,
        DataClass,
        Tool,
        ToolContext,
        ToolError,
        tool,
    )

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
    "budget": ("Budget", "Limit"),
    "connector": ("Connectors", "Mail"),
    "contract": ("Contract", "Fallback", "Retention"),
    "model": ("Alias",),
    "money": ("Money",),
    "policy": ("Escalation", "Rule"),
    "tool": ("Compensate", "DataClass", "Tool", "ToolContext", "ToolError", "tool"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Load the module that has one of the names above, and return the name's value."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


class _Package(ModuleType):
    """Keeps the name `tool` for the decorator, whoever imports the module first."""

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute, as the import system does with each module it loads."""
        if name == "tool" and isinstance(value, ModuleType):
            value = value.tool
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
