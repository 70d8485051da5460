"""Frequent reasons, which the model reads before it continues."""

from keyturn.orchestrator.rules.text import plain_text

REJECT = (
    "Our policy does not cover this.",
    "This was done already.",
    "The amount is wrong.",
    "It is about the wrong order or the wrong customer.",
    "The customer has to be asked first.",
    "This may be fraud: hand it to a person.",
)
CHANGE = (
    "Make the wording kinder and shorter.",
    "Answer everything that the customer asked.",
    "Check the amount against the order and draft again.",
    "Ask the customer for what is missing instead.",
)


def words(decision: str, canned: str | None, own: str) -> str:
    """Return the reason as one text: the chosen one, then the person's own words."""
    choices = REJECT if decision == "reject" else CHANGE
    chosen = (
        choices[int(canned)]
        if canned and canned.isdecimal() and int(canned) < len(choices)
        else ""
    )
    return " ".join(part for part in (chosen, plain_text.trimmed(own)) if part)
