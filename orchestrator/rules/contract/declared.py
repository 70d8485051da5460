"""Types for declarations by authors; no value is coerced to another type."""

import sys
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field

from keyturn.orchestrator.rules.text import plain_text

# Longer than any person waits; a deadline beyond the calendar cannot be stored.
LONGEST: Final = timedelta(days=36_525)
# Frames of these packages are skipped in the search for a declaration's line.
_OURS: Final = ("keyturn.orchestrator.", "pydantic.", "pydantic_core.")


def _length(value: object) -> object:
    # A release stores it in ISO 8601; a bare number has no unit.
    if isinstance(value, timedelta) or (isinstance(value, str) and "P" in value[:2]):
        return value
    raise ValueError(
        f"{value!r} is not a duration; write timedelta(minutes=…), hours=… or days=…"
    )


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a number")  # noqa: TRY004 pydantic catches ValueError only
    return value


def said(text: str) -> str:
    """Return a text with visible characters, or raise `ValueError`."""
    if not plain_text.trimmed(text):
        raise ValueError("it must not be empty or only blanks and invisible characters")
    return text


Length = Annotated[
    timedelta, BeforeValidator(_length), Field(gt=timedelta(0), le=LONGEST)
]
Count = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Amount = Annotated[Decimal, BeforeValidator(_no_bool)]
Ratio = Annotated[float, BeforeValidator(_no_bool)]
Said = Annotated[str, AfterValidator(said)]


def place() -> str:
    """Return the file and line of the nearest caller outside Keyturn's own rules."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage] inspect.stack() reads every source
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _is_ours(module: str) -> bool:
    return f"{module}.".startswith(_OURS)
