"""Keyturn's rules and record; these names are what an application imports."""

from orchestrator.budget import Budget, Limit
from orchestrator.connector import Connectors, Mail
from orchestrator.contract import Contract, Fallback, Retention
from orchestrator.model import Alias
from orchestrator.money import Money
from orchestrator.policy import Escalation, Rule
from orchestrator.tool import Compensate, DataClass, Tool, ToolContext, ToolError, tool

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
