"""Texts as the API takes them: nothing that a database or a log would choke on."""

from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, StringConstraints

ID_PATTERN = r"^[A-Za-z0-9._:-]{1,200}$"
# One line: no control character, so no NUL, which PostgreSQL refuses.
LINE_PATTERN = r"^[^\x00-\x1f\x7f]{1,200}$"
SLUG_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"


def _readable(text: str) -> str:
    bad = next((c for c in text if ord(c) < 32 and c not in "\n\r\t"), None)
    if bad is not None:
        raise ValueError(f"has the control character U+{ord(bad):04X}; remove it")
    return text


Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
PathId = Annotated[str, Path(pattern=ID_PATTERN)]
Line = Annotated[str, StringConstraints(pattern=LINE_PATTERN)]
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
