r"""Patterns that authors declare, matched in time linear in the text (RE2).

They have the meaning of pydantic's own engine, which searches as ECMA 262 does:
unanchored, `$` only at the very end, `\d`, `\w` and `\s` of all scripts. RE2 has the
last three in ASCII only and lacks some escapes; this module writes those out for it.
"""

import sys
from functools import lru_cache
from typing import Any, Final, Protocol, cast
from unicodedata import category

import re2  # pyright: ignore[reportMissingTypeStubs] it has none

from keyturn.orchestrator.rules.errors import KeyturnError

# One `\w` of all scripts is some 1,400 instructions; larger programs run too long.
_ENGINE: Any = re2
LARGEST_PROGRAM = 100_000
_MEMORY = 64 << 20

_DIGIT: Final = r"\p{Nd}"
_SPACE: Final = (
    r"\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}"
    r"\x{202f}\x{205f}\x{3000}"
)
_NO_SPACE: Final = (
    r"\x{0}-\x{8}\x{e}-\x{1f}\x{21}-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}"
    r"\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}"
    r"\x{3001}-\x{10ffff}"
)
# Letters, marks, digits, connectors, joiners, and the circled letters (Other_Alphabetic).
_WORD: Final = (
    r"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200c}\x{200d}\x{24b6}-\x{24e9}"
    r"\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189}"
)
_CLASSES: Final = {"d": _DIGIT, "D": r"\P{Nd}", "s": _SPACE, "S": _NO_SPACE, "w": _WORD}
_CATEGORIES: Final = {
    "letter": "L", "lowercase_letter": "Ll", "uppercase_letter": "Lu",
    "titlecase_letter": "Lt", "modifier_letter": "Lm", "other_letter": "Lo",
    "mark": "M", "nonspacing_mark": "Mn", "spacing_mark": "Mc", "enclosing_mark": "Me",
    "number": "N", "decimal_number": "Nd", "letter_number": "Nl", "other_number": "No",
    "punctuation": "P", "connector_punctuation": "Pc", "dash_punctuation": "Pd",
    "open_punctuation": "Ps", "close_punctuation": "Pe", "initial_punctuation": "Pi",
    "final_punctuation": "Pf", "other_punctuation": "Po", "symbol": "S",
    "math_symbol": "Sm", "currency_symbol": "Sc", "modifier_symbol": "Sk",
    "other_symbol": "So", "separator": "Z", "space_separator": "Zs",
    "line_separator": "Zl", "paragraph_separator": "Zp", "other": "C", "control": "Cc",
    "format": "Cf", "private_use": "Co",
}  # fmt: skip
_HEX_DIGITS: Final = {"x": 2, "u": 4, "U": 8}


class InvalidPattern(KeyturnError):
    """A pattern that the linear engine rejects, or reads with another meaning."""

    def __init__(self, pattern: str, problem: str) -> None:
        """Name the pattern, what is wrong and what to write instead."""
        self.pattern = pattern
        super().__init__(f"the pattern {pattern!r} cannot be used: {problem}")


class _Compiled(Protocol):
    """The part of RE2's untyped compiled patterns that is used."""

    @property
    def programsize(self) -> int: ...

    def search(self, text: bytes) -> object | None: ...


def is_found(pattern: str, text: str) -> bool:
    """Return whether `pattern` is found in `text`; raises `InvalidPattern`."""
    try:
        data = text.encode()
    except UnicodeEncodeError:
        # A lone surrogate is not text, so no pattern matches it.
        return False
    return compiled(pattern).search(data) is not None


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> _Compiled:
    """Return the pattern for RE2, or raise `InvalidPattern` with what to write."""
    options = _ENGINE.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = _MEMORY
    written = _Translation(pattern).run()
    try:
        found: _Compiled = _ENGINE.compile(written, options)
    except (_ENGINE.error, UnicodeEncodeError) as error:
        words = _engine_words(cast("Exception", error))
        raise InvalidPattern(pattern, words) from None
    if found.programsize > LARGEST_PROGRAM:
        raise InvalidPattern(
            pattern,
            "it is too large to be matched in one step; write smaller repetitions "
            "(max_length also bounds a text), or plain classes such as [a-z0-9] "
            r"instead of \w.",
        )
    return found


def _engine_words(error: Exception) -> str:
    told = error.args[0] if error.args else ""
    words = told.decode(errors="replace") if isinstance(told, bytes) else str(told)
    if "perl operator" in words and any(look in words for look in ("?=", "?!", "?<")):
        return (
            "look-around (?=…), (?!…), (?<=…), (?<!…) can take unbounded time; write a "
            "plain pattern, or check the value in a field validator."
        )
    if "repetition size" in words:
        return f"{words}; a repetition is at most 1000: bound the text by max_length."
    if "too large" in words:
        return f"{words}; write smaller repetitions, or bound the text by max_length."
    return (
        f"{words}. Patterns are those of RE2 (github.com/google/re2/wiki/Syntax): no "
        r"back-references (\1), no look-around, no possessive or nested repetition."
    )


class _Translation:
    """Rewrites one pattern, character by character."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def run(self) -> str:
        written: list[str] = []
        while self._at < len(self._pattern):
            if self._next("\\"):
                written.append(self._escape(in_class=False))
            elif self._next("["):
                written.append(self._character_class())
            else:
                written.append(self._take())
        return "".join(written)

    def _take(self, count: int = 1) -> str:
        taken = self._pattern[self._at : self._at + count]
        self._at += count
        return taken

    def _next(self, wanted: str) -> bool:
        return self._pattern.startswith(wanted, self._at)

    def _character_class(self) -> str:
        written = [self._take()]
        if self._next("^"):
            written.append(self._take())
        if self._next("]"):
            # At the very start it is a literal.
            written.append(rf"\{self._take()}")
        while self._at < len(self._pattern) and not self._next("]"):
            written.append(self._class_part())
        return "".join(written) + self._take()

    def _class_part(self) -> str:
        if self._next("\\"):
            return self._escape(in_class=True)
        if self._next("[:"):
            end = self._pattern.find(":]", self._at)
            return self._take(end + 2 - self._at) if end > 0 else self._take()
        for operator in ("&&", "--", "~~", "["):
            if self._next(operator):
                raise InvalidPattern(
                    self._pattern,
                    f"{operator!r} inside […] combines classes in some engines and is a "
                    "literal in others; write the class out, or the character as "
                    rf"\{operator[0]}.",
                )
        return self._take()

    def _escape(self, *, in_class: bool) -> str:
        self._take()
        letter = self._take()
        if letter in _CLASSES or letter == "W":
            ranges = _no_word() if letter == "W" else _CLASSES[letter]
            return ranges if in_class else f"[{ranges}]"
        if letter in "pP" and self._next("{"):
            return rf"\{letter}{self._property()}"
        if letter in _HEX_DIGITS:
            return rf"\x{{{self._code_point(letter):x}}}"
        if letter == "c" and self._at < len(self._pattern):
            return rf"\x{{{ord(self._take()) % 32:x}}}"
        if letter == "b" and in_class:
            return r"\x{8}"
        if letter in "CQ<>" or (letter == "b" and self._next("{")):
            raise InvalidPattern(
                self._pattern,
                rf"\{letter} means different things in different engines; "
                "write the characters or the class that you want.",
            )
        return rf"\{letter}"

    def _property(self) -> str:
        end = self._pattern.find("}", self._at)
        if end < 0:
            return self._take()
        name = self._take(end + 1 - self._at)[1:-1]
        short = name.rpartition("=")[2]
        return f"{{{_CATEGORIES.get(short.lower().replace(' ', '_'), short)}}}"

    def _code_point(self, letter: str) -> int:
        if self._next("{"):
            end = self._pattern.find("}", self._at)
            digits = self._take(end + 1 - self._at)[1:-1] if end > 0 else ""
        else:
            digits = self._take(_HEX_DIGITS[letter])
            digits = digits if len(digits) == _HEX_DIGITS[letter] else ""
        point = self._parsed(digits)
        if 0xD800 <= point < 0xDC00 and self._next(r"\u"):
            self._take(2)
            low = self._parsed(self._take(4))
            return 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00)
        return point

    def _parsed(self, digits: str) -> int:
        try:
            return int(digits, 16)
        except ValueError:
            raise InvalidPattern(
                self._pattern,
                rf"{digits!r} is no character's number; write \x{{41}} for the "
                "character U+0041.",
            ) from None


@lru_cache(maxsize=1)
def _no_word() -> str:
    r"""Return the complement of `\w` as ranges: RE2 negates no class inside another."""
    ranges: list[str] = []
    first: int | None = None
    for point in range(sys.maxunicode + 2):
        is_out = point <= sys.maxunicode and not _is_word(point)
        if is_out and first is None:
            first = point
        elif not is_out and first is not None:
            ranges.append(rf"\x{{{first:x}}}-\x{{{point - 1:x}}}")
            first = None
    return "".join(ranges)


def _is_word(point: int) -> bool:
    kind = category(chr(point))
    if kind[0] in "LM" or kind in ("Nd", "Nl", "Pc"):
        return True
    return point in (0x200C, 0x200D) or any(
        first <= point <= last
        for first, last in (
            (0x24B6, 0x24E9),
            (0x1F130, 0x1F149),
            (0x1F150, 0x1F169),
            (0x1F170, 0x1F189),
        )
    )
