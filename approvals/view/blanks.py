"""Runs of invisible text: empty lines, and blanks within a line.

Seventy empty lines push the following text out of sight as a scrolling box does. They
are shown as “70 empty lines”, and a wide gap within a line as “200 blanks”.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# Takes space but is invisible, though Unicode files it under letters and symbols.
FILLERS: Final = "\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5"
SPACES: Final = "\t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
ZERO_WIDTH: Final = "\u00ad\u180b-\u180f\u200b-\u200d\u2060-\u2064\ufeff"
DIRECTIONS: Final = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"

MOST_EMPTY_LINES: Final = 2
MOST_BLANKS: Final = 15
_TAB_WIDTH = 8
_LINE_END = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_BLANKS = re.compile(f"[ {SPACES}{ZERO_WIDTH}{FILLERS}]+")
_EMPTY = re.compile(f"[ {SPACES}{ZERO_WIDTH}{FILLERS}{DIRECTIONS}\ufe00-\ufe0f]*")


@dataclass(frozen=True)
class Gap:
    """A run that is described instead of shown: its position and its words."""

    start: int
    end: int
    words: str
    names: str
    ends_line: bool


def gaps(text: str, start: int = 0, end: int | None = None) -> list[Gap]:
    """Return the gaps within a part of a text, in their order."""
    end = len(text) if end is None else end
    lines = list(_line_gaps(text, start, end))
    found = [*lines, *_wide_gaps(text, start, end, lines)]
    return sorted(found, key=lambda gap: gap.start)


def _line_gaps(text: str, start: int, end: int) -> Iterator[Gap]:
    run: list[tuple[int, int]] = []
    for first, last in _lines(text, start, end):
        if _is_empty(text, first, last):
            run.append((first, last))
            continue
        yield from _empty_line_gaps(text, run)
        run = []
    yield from _empty_line_gaps(text, run)


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield each whole line with its end; what begins in mid-line is no whole one."""
    is_whole = start == 0 or _LINE_END.fullmatch(text[start - 1]) is not None
    for found in _LINE_END.finditer(text, start, end):
        if is_whole:
            yield start, found.end()
        start, is_whole = found.end(), True
    # The last line has no line end: it can end a run but is not part of one.
    yield start, start


def _is_empty(text: str, first: int, last: int) -> bool:
    body = text[first:last]
    ended = _LINE_END.search(body)
    return ended is not None and _EMPTY.fullmatch(body, 0, ended.start()) is not None


def _empty_line_gaps(text: str, run: list[tuple[int, int]]) -> Iterator[Gap]:
    if len(run) > MOST_EMPTY_LINES:
        start, end = run[0][0], run[-1][1]
        words = f"{len(run)} empty lines"
        yield Gap(start, end, words, _names(text[start:end]), ends_line=True)


def _wide_gaps(text: str, start: int, end: int, lines: list[Gap]) -> Iterator[Gap]:
    gaps_left = iter(lines)
    line = next(gaps_left, None)
    for found in _BLANKS.finditer(text, start, end):
        while line is not None and line.end <= found.start():
            line = next(gaps_left, None)
        is_in_line = line is not None and line.start <= found.start()
        blank = found.group()
        if not is_in_line and _width(blank) > MOST_BLANKS:
            words = f"{len(blank)} blank{'' if len(blank) == 1 else 's'}"
            yield Gap(*found.span(), words, _names(blank), ends_line=False)


def _width(blank: str) -> int:
    return len(blank) + blank.count("\t") * (_TAB_WIDTH - 1)


def _names(run: str) -> str:
    codes = (
        f"U+{ord(char):04X} {unicodedata.name(char, '').lower()}".rstrip()
        for char in dict.fromkeys(run)
        if char not in " \n\r\t"
    )
    return "; ".join(codes)
