"""Event streams that a host sends although none was asked for.

Streaming is not built; some compatible hosts stream all the same, and their answer is
folded into the one that was asked for.
"""

import json
import re
from collections.abc import Iterator

from pydantic import JsonValue

_FIELD = re.compile(r"\s*(?:data|event|id|retry)\s*:|\s*:")


def is_event_stream(text: str) -> bool:
    """Tell whether a body is an event stream, whatever its content type says."""
    return _FIELD.match(text) is not None


def events(text: str) -> Iterator[dict[str, JsonValue]]:
    """Yield the JSON objects of the stream's data lines, leaving out all else."""
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
