"""Parses event streams that a host sends without being asked.

Streaming is not built; some compatible hosts stream all the same, and their answer is
folded into an ordinary one.
"""

import json
import re
from collections.abc import Iterator

from pydantic import JsonValue

_FIELD = re.compile(r"\s*(?:data|event|id|retry)\s*:|\s*:")


def is_event_stream(text: str) -> bool:
    """Return whether a body is an event stream; its content type is ignored."""
    return _FIELD.match(text) is not None


def events(text: str) -> Iterator[dict[str, JsonValue]]:
    """Yield the JSON objects of the stream's data lines; skips all other lines."""
    for line in text.split("\n"):
        field, _, data = line.strip().partition(":")
        if field == "data" and (event := _object(data)) is not None:
            yield event


def _object(data: str) -> dict[str, JsonValue] | None:
    try:
        value: JsonValue = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
