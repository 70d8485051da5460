"""Arguments of earlier calls, in a form that every provider accepts."""

import json
import math

from pydantic import JsonValue

MALFORMED = "$malformed"


def arguments_object(text: str) -> dict[str, JsonValue]:
    """Return the arguments as an object.

    Other values are wrapped as `{"$malformed": text}`: the Messages API accepts only
    objects, and several chat servers answer 400 or 500 to a history with broken
    arguments, which would end a run over a mistake that was already repaired.
    """
    try:
        value: JsonValue = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return {MALFORMED: text}
    return value if isinstance(value, dict) else {MALFORMED: text}


def arguments_text(text: str) -> str:
    """Return the arguments as they were sent, or wrapped where broken."""
    value = arguments_object(text)
    return json.dumps(value) if MALFORMED in value else text


def _refuse(constant: str) -> JsonValue:
    raise ValueError(f"{constant} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is too large")
    return value
