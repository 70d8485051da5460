"""Errors of putting a release live."""

from keyturn.orchestrator.rules.errors import ContractError, KeyturnError


class GuardLost(ContractError):
    """A tool of the new release lacks a guard that the live release has."""


class HistoryLost(ContractError):
    """A tool of the new release names another service than its history."""


class ReleaseChanged(KeyturnError):
    """A release's content does not match its hash."""
