"""Errors of upgrading the schema."""

from keyturn.orchestrator.rules.errors import KeyturnError


class NeedsKeys(KeyturnError):
    """Rows of an earlier version have no codes, and there is no key to add them."""
