"""What keeps the schema from being upgraded."""

from keyturn.orchestrator.rules.errors import KeyturnError


class NeedsKeys(KeyturnError):
    """There are rows of a version that did not vouch for them, and no key to do it."""
