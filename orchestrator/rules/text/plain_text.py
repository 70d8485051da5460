"""Texts and names as people write them; validates text before it is stored."""

import unicodedata
from collections.abc import Mapping
from unicodedata import category

from pydantic import JsonValue

from keyturn.orchestrator.rules.errors import InvalidValue

# Names are in indexes, which hold 2.7 kB.
LONGEST_NAME = 500
LONGEST_TEXT = 64_000
# Letters and symbols by category that are invisible on every screen.
_UNSEEN = frozenset("\u115f\u1160\u2800\u3164\uffa0\ufffc")


def trimmed(text: str | None) -> str:
    """Return a text without surrounding blanks; "" where nothing is visible.

    Blank is also a text of only spaces of any kind, zero-width characters, fillers,
    controls, unassigned characters and accents without a letter.
    """
    given = text or ""
    return given.strip() if any(map(_is_seen, given)) else ""


def _is_seen(character: str) -> bool:
    return category(character)[0] in "LNPS" and character not in _UNSEEN


def required(text: str | None, *, name: str, why: str = "") -> str:
    """Return a text without surrounding blanks; `InvalidValue` if it is blank."""
    found = trimmed(text)
    if not found:
        raise InvalidValue(
            f"{name}: it must not be empty or only blanks and invisible characters"
            f"{f'. {why}' if why else ''}"
        )
    return found


def check(words: Mapping[str, str | None]) -> None:
    """Raise `InvalidValue` for an invalid or too long text: `text`, or else a name."""
    for name, value in words.items():
        if value is None:
            continue
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidValue(
                f"{name}: it contains half a character (a lone surrogate); remove it"
            ) from None
        refuse_control_characters(value, path=name)
        longest = LONGEST_TEXT if name == "text" else LONGEST_NAME
        if len(value) > longest:
            raise InvalidValue(f"{name}: it may have at most {longest} characters")


def refuse_control_characters(value: JsonValue, *, path: str = "") -> None:
    """Raise `InvalidValue` for control characters; PostgreSQL would refuse U+0000."""
    if isinstance(value, str):
        bad = next((c for c in value if ord(c) < 32 and c not in "\n\r\t"), None)
        if bad is not None:
            raise InvalidValue(
                f"{path or 'the value'}: the control character U+{ord(bad):04X} is not "
                "text; remove it"
            )
    elif isinstance(value, dict):
        for name, child in value.items():
            refuse_control_characters(name, path=path)
            refuse_control_characters(child, path=f"{path}/{name}".strip("/"))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            refuse_control_characters(child, path=f"{path}/{index}".strip("/"))


def check_id(value: str, *, path: str) -> None:
    """Raise `InvalidValue` for a text that cannot be meant as an id.

    Surrounding blanks and control characters make it another id where they get lost,
    and a pattern's `$` accepts a line break at the end.
    """
    check({path: value})
    if value != value.strip():
        raise InvalidValue(
            f"{path}: {value!r} begins or ends with a blank; send only the id"
        )
    for char in value:
        if unicodedata.category(char) in ("Cc", "Zl", "Zp"):
            raise InvalidValue(
                f"{path}: {value!r} contains U+{ord(char):04X}, which no id has; remove it"
            )
