"""Removes secrets from text before it is stored, logged or shown."""

from collections.abc import Iterable
from typing import Final, Protocol

import re2  # pyright: ignore[reportMissingTypeStubs] upstream has none
from pydantic import JsonValue

GONE: Final = "[secret]"
# A shorter one would blank out ordinary words.
SHORTEST_SECRET: Final = 6
# Some errors quote a whole request; nobody reads more of it.
LONGEST: Final = 20_000

# Formats of known services' keys, after the public rules of secret scanners.
_KEYS: Final = (
    r"\b(?:sk|gsk|xai|whsec|glpat)[-_][A-Za-z0-9_*.\-]{6,}",
    r"\b(?:pk|rk|key|hf|npm|pypi)[-_][A-Za-z0-9*]{12,}",
    r"\bxox[abeprs]-[A-Za-z0-9-]{8,}",
    r"\bgh[pousr]_[A-Za-z0-9]{16,}",
    r"\bgithub_pat_[A-Za-z0-9_]{20,}",
    r"\bAIza[A-Za-z0-9_\-]{30,}",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"\bkt_[A-Za-z0-9_\-]{12,}",
    r"\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
)
_NAMES: Final = (
    r"(?:[a-z0-9]+[_-])*(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|apikey"
    r"|access[_-]?key|private[_-]?key|client[_-]?secret|credentials?)"
)
# What follows a name, an assignment, or a scheme; the name stays.
_AFTER: Final = (
    r"(?i)(\b(?:proxy-)?authorization\b['\"]*\s*[:=,]\s*(?:b?['\"])?)"
    r"(?:(?:bearer|basic|token|digest)\s+)?[^\s'\",;]+",
    r"(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9+/=._~\-]{6,}",
    r"(?i)(\bx-api-key\b['\"]*\s*[:=,]\s*(?:b?['\"])?)[^\s'\",;]+",
    rf"(?i)(\b{_NAMES}\b['\"]*\s*[:=]\s*b?\")[^\"]*",
    rf"(?i)(\b{_NAMES}\b['\"]*\s*[:=]\s*b?')[^']*",
    rf"(?i)(\b{_NAMES}\b['\"]*\s*[:=]\s*)[^\s'\",;&]+",
    # A password may contain an @.
    r"([A-Za-z][A-Za-z0-9+.\-]*://[^\s/@:]*:)[^\s/]+@",
)


class _Form(Protocol):
    def sub(self, repl: str, text: str) -> str: ...


def _form(pattern: str) -> _Form:
    return re2.compile(pattern)  # pyright: ignore[reportUnknownMemberType] see above


_known: dict[str, None] = {}
_KEY_FORMS: Final = _form("|".join(f"(?:{one})" for one in _KEYS))
_NAMED_FORMS: Final = tuple(_form(one) for one in _AFTER)
_IN_URL: Final = _NAMED_FORMS[-1]


def know(*secrets: str | None) -> None:
    """Remove these values from all text from now on, in this process.

    Each is also known without surrounding blanks: a header quotes it either way.
    """
    for secret in secrets:
        for value in _spellings(secret or ""):
            if len(value) >= SHORTEST_SECRET:
                _known[value] = None


def text(words: str) -> str:
    """Return a text without secrets: known values, key formats, `password=…`."""
    # The longest first: one may be a part of another.
    for secret in sorted(_known, key=len, reverse=True):
        words = words.replace(secret, GONE)
    words = _KEY_FORMS.sub(GONE, words)
    for form in _NAMED_FORMS:
        words = form.sub(r"\1" + GONE + ("@" if form is _IN_URL else ""), words)
    return words if len(words) <= LONGEST else f"{words[:LONGEST]} …"


def value(found: JsonValue) -> JsonValue:
    """Return a JSON value with every text in it scrubbed; names stay."""
    match found:
        case str():
            return text(found)
        case list():
            return [value(one) for one in found]
        case dict():
            return {name: value(one) for name, one in found.items()}
        case _:
            return found


def error(fault: BaseException) -> str:
    """Return an exception's kind and scrubbed message, for operators."""
    words = text(str(fault)).strip()
    kind = type(fault).__name__
    return f"{kind}: {words}" if words else kind


def _spellings(secret: str) -> Iterable[str]:
    yield secret
    bare = secret.strip().strip("\u201c\u201d\u2018\u2019\"'\u200b\u200c\u200d\ufeff")
    yield bare
    # The forms in which Python and JSON quote bytes or text.
    yield repr(secret)[1:-1]
    yield ascii(secret)[1:-1]
