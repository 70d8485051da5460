"""Validated text and time fields of the API."""

from datetime import datetime
from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, StringConstraints

from keyturn.orchestrator.rules.text import plain_text
from keyturn.orchestrator.rules.text.pattern import is_found

ID_PATTERN = r"^[A-Za-z0-9._:-]{1,200}$"
# One line: no control character, so no NUL, which PostgreSQL refuses.
LINE_PATTERN = r"^[^\x00-\x1f\x7f]{1,200}$"
TIME_PATTERN = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?"
    r"([Zz]|[+-][0-9]{2}:?[0-9]{2})$"
)
SLUG_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"


def _readable(text: str) -> str:
    if not plain_text.trimmed(text):
        raise ValueError(
            "it must not be empty; blanks and invisible characters do not count"
        )
    bad = next((c for c in text if ord(c) < 32 and c not in "\n\r\t"), None)
    if bad is not None:
        raise ValueError(f"has the control character U+{ord(bad):04X}; remove it")
    return text


def _iso(value: object) -> object:
    if isinstance(value, datetime):
        return value
    if isinstance(value, str) and is_found(TIME_PATTERN, value):
        return value
    raise ValueError("write a time with its zone, such as 2026-11-25T18:00:00Z")


# A number is not a time, quoted or not: pydantic would read it as seconds since 1970.
Time = Annotated[AwareDatetime, BeforeValidator(_iso)]
Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
PathId = Annotated[str, Path(pattern=ID_PATTERN)]
Line = Annotated[
    str, StringConstraints(pattern=LINE_PATTERN), AfterValidator(_readable)
]
Slug = Annotated[str, StringConstraints(pattern=SLUG_PATTERN)]
Reason = Annotated[
    str,
    StringConstraints(min_length=1, max_length=4_000, strip_whitespace=True),
    AfterValidator(_readable),
]
Words = Annotated[
    str,
    StringConstraints(min_length=1, max_length=20_000, strip_whitespace=True),
    AfterValidator(_readable),
]
