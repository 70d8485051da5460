"""Text that a database can hold."""

from keyturn.orchestrator.rules.text import canonical


def text(words: str) -> str:
    """Return words without the characters that a database's text cannot hold."""
    return canonical.mend_text(words).replace("\x00", "\ufffd")
