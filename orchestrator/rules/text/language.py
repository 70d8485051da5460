"""Languages of tickets and people, as queues compare them."""

from collections.abc import Collection


def normal(tag: str) -> str:
    """Return a language tag in one spelling: `de_AT` is `de-at`."""
    return tag.strip().replace("_", "-").lower()


def speaks(known: Collection[str], tag: str | None) -> bool:
    """Return whether these languages include `tag`; an empty list includes all."""
    if not known or tag is None:
        return True
    wanted = normal(tag)
    named = {normal(one) for one in known}
    return any(wanted == one or wanted.startswith(f"{one}-") for one in named)
