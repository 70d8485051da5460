"""Reads provider bodies tolerantly: takes known fields, ignores the rest."""

import json
import re

from pydantic import JsonValue

from keyturn.activities.llm.errors import MalformedReply

# No request has more tokens; larger numbers cannot be used in calculations.
_MOST = 2**53
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def decode(body: bytes | str, *, provider: str) -> str:
    """Return the body as text; bytes that are not UTF-8 raise `MalformedReply`."""
    if isinstance(body, str):
        return body
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise MalformedReply(
            provider=provider, why="the body is not UTF-8 text."
        ) from None


def load(text: str, *, provider: str) -> dict[str, JsonValue]:
    """Return the JSON object in `text`; anything else raises `MalformedReply`."""
    try:
        value: JsonValue = json.loads(text)
    except RecursionError:
        raise MalformedReply(
            provider=provider, why="the body is nested too deep."
        ) from None
    except ValueError as error:
        raise MalformedReply(
            provider=provider, why=f"the body is not JSON ({_reason(error)})."
        ) from None
    if not isinstance(value, dict):
        raise MalformedReply(
            provider=provider, why=f"the body is a JSON {_kind(value)}, not an object."
        )
    return value


def as_object(value: JsonValue) -> dict[str, JsonValue]:
    """Return an object unchanged, and an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_list(value: JsonValue) -> list[JsonValue]:
    """Return a list unchanged, and an empty one for anything else."""
    return value if isinstance(value, list) else []


def as_text(value: JsonValue) -> str:
    """Return a string with lone surrogates replaced, and "" for anything else."""
    return _LONE_SURROGATE.sub("\ufffd", value) if isinstance(value, str) else ""


def as_count(value: JsonValue) -> int | None:
    """Return a count, or None for any other value."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _MOST else None


def error_words(error: JsonValue) -> str:
    """Return the message of an error in a body, or the error itself if it is a text."""
    if isinstance(error, str):
        return as_text(error).strip()
    found = as_object(error)
    said = as_text(found.get("message")) or as_text(found.get("detail"))
    return said.strip() or ("no message" if found else "")


def escape_surrogates(text: str) -> str:
    r"""Return JSON text with lone surrogates as `\uXXXX`.

    Within a JSON string that has the same meaning, can be stored, and is refused by the
    strict parse like any lone surrogate.
    """
    return _LONE_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _reason(error: ValueError) -> str:
    return (
        f"{error.msg} at character {error.pos}"
        if isinstance(error, json.JSONDecodeError)
        else "a number is too long"
    )


def _kind(value: JsonValue) -> str:
    return "array" if isinstance(value, list) else type(value).__name__
