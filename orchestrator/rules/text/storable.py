"""Text that a database can hold."""

from keyturn.orchestrator.rules.text import canonical


def text(words: str) -> str:
    """Return a text without the characters that a database cannot store."""
    return canonical.repair_text(words).replace("\x00", "\ufffd")
