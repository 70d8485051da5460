"""The exact text of values within a JSON document."""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")


class Span(NamedTuple):
    """The start and end of a value in its document."""

    start: int
    end: int

    def of(self, document: str) -> str:
        """Return the value's text."""
        return document[self.start : self.end]


def root(document: str) -> Span:
    """Return the span of the whole value; `document` must be JSON."""
    return _value(document, _skip(document, 0))


def member(document: str, parent: Span, key: str) -> Span | None:
    """Return the span of the last member `key` of an object, as `json.loads` takes it.

    None where `parent` is not an object or has no such member.
    """
    if document[parent.start] != "{":
        return None
    found: Span | None = None
    at = _skip(document, parent.start + 1)
    while document[at] != "}":
        name = _value(document, at)
        colon = _skip(document, name.end)
        value = _value(document, _skip(document, colon + 1))
        if json.loads(name.of(document)) == key:
            found = value
        at = _after_comma(document, value.end)
    return found


def elements(document: str, parent: Span) -> Iterator[Span]:
    """Yield the spans of an array's elements; nothing if `parent` is not an array."""
    if document[parent.start] != "[":
        return
    at = _skip(document, parent.start + 1)
    while document[at] != "]":
        value = _value(document, at)
        yield value
        at = _after_comma(document, value.end)


def _value(document: str, at: int) -> Span:
    _, end = _DECODER.raw_decode(document, at)
    return Span(at, end)


def _after_comma(document: str, at: int) -> int:
    at = _skip(document, at)
    return _skip(document, at + 1) if document[at] == "," else at


def _skip(document: str, at: int) -> int:
    found = _SPACE.match(document, at)
    return found.end() if found else at
