"""The mails that the scripted desk drafts."""

from keyturn.activities.llm.simulator.request import Json

_END = "\n\nKind regards\nThe support team"


def refunded(order: str, amount: str, *, wrote_again: bool) -> Json:
    """Return the mail that goes with a refund."""
    thanks = "Thank you for your second message too. " if wrote_again else ""
    return _mail(
        f"Your refund for {order}",
        f"{thanks}We are sorry about the trouble with order {order}. We have refunded "
        f"{amount} the way you paid; it arrives within 3 to 5 working days.",
    )


def declined(order: str) -> Json:
    """Return the mail after a refund that was not made."""
    return _mail(
        f"About your request for {order}",
        f"Thank you for writing about order {order}. We have looked into it and cannot "
        "make the refund that you asked for. If something about the order is not as we "
        "described it, please answer with a photo, and we will look again.",
    )


def moved(order: str, street: str) -> Json:
    """Return the mail that goes with a change of address."""
    return _mail(
        f"New address for {order}",
        f"We have changed the address of order {order}; it now goes to {street}.",
    )


def answered(subject: str, text: str) -> Json:
    """Return the mail that answers a question with a help page."""
    return _mail(subject, f"Thank you for your question. {text}")


def _mail(subject: str, body: str) -> Json:
    return {"subject": subject, "body": f"Hello,\n\n{body}{_END}"}
