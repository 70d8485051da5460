"""A service's own words for a refusal, found in the usual formats of errors.

All text from a provider to people and models passes through `clean`.
"""

from collections.abc import Iterable

from pydantic import JsonValue

LONGEST = 500
# At most this many errors of a list are reported.
MOST = 5
DEEPEST = 4
# `error` may be a code or a heading, with the text next to it.
_HEADS = ("error", "errors", "title")
_WORDS = (
    "detail",
    "message",
    "error_description",
    "description",
    "msg",
    "reason",
    "messages",
    "error_message",
)


def clean(words: str) -> str:
    """Return a text on one line, without non-text parts, at most 500 characters."""
    shown = "".join(char if char.isprintable() else " " for char in words)
    one = " ".join(shown.split())
    return one if len(one) <= LONGEST else f"{one[: LONGEST - 1]}…"


def said(body: JsonValue) -> str | None:
    """Return the error text in an answer, or None where there is none."""
    return clean(_found(body, DEEPEST)) or None


def _found(body: JsonValue, depth: int) -> str:
    if isinstance(body, str):
        return body.strip()
    if depth == 0:
        return ""
    if isinstance(body, list):
        return _joined(_found(one, depth - 1) for one in body[:MOST])
    return _in_object(body, depth) if isinstance(body, dict) else ""


def _in_object(body: dict[str, JsonValue], depth: int) -> str:
    head = next((w for n in _HEADS if (w := _value(body, n, depth))), "")
    words = next((w for n in _WORDS if (w := _value(body, n, depth))), "")
    if head and words and head not in words and words not in head:
        return f"{head}: {words}"
    return max(head, words, key=len)


def _value(body: dict[str, JsonValue], name: str, depth: int) -> str:
    value = body.get(name)
    if name == "errors" and isinstance(value, dict):
        return _fields(value, depth - 1)
    return _found(value, depth - 1)


def _fields(errors: dict[str, JsonValue], depth: int) -> str:
    """Return errors by field: `{"base": ["Too late"], "amount": ["is too high"]}`."""
    known = _in_object(errors, depth)
    if known:
        return known
    named = ((name, _found(one, depth)) for name, one in list(errors.items())[:MOST])
    return _joined(
        words if name == "base" else f"{name}: {words}"
        for name, words in named
        if words
    )


def _joined(parts: Iterable[str]) -> str:
    return "; ".join(part for part in parts if part)
