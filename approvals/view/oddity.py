"""Names for misleading characters: invisible ones, look-alikes, piled-up marks.

A letter is odd if it looks Latin, is not (after UTS 39) and stands among Latin ones.
Text in a customer's own script is not marked: too many warnings warn of nothing.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache

from keyturn.approvals.view.blanks import FILLERS
from keyturn.approvals.view.confusables import LOOKS_LIKE

_PLAIN_SPACE = frozenset(" \n\t")
_JOINERS = frozenset("\u200d\ufe0f")
_MOST_MARKS = 2
_WORD = re.compile(r"\w+")
_ASCII = re.compile("[A-Za-z0-9]")
# Everyday characters, though UTS 39 has an ASCII twin for them: quotes, dashes,
# the ellipsis, feet and inches, letters of Danish, French, Dutch and Vietnamese.
_ORDINARY = frozenset(
    "\u2018\u2019\u201c\u201d\u2039\u203a\u00b4\u2032\u2033\u2026\u2122\u2116\u2120"
    "\u2010\u2011\u2012\u2013\u2212\u2795\u2796\u221e\u00e6\u00c6\u0153\u0152"
    "\u0133\u0132\u01a1\u01a0"
)
# Between digits a multiplication sign is genuine; between letters it resembles an x.
_TIMES = "\u00d7"
_DOTLESS_I = "\u0131"
_TURKISH = re.compile("[\u011e\u011f\u0130\u015e\u015f]")
# A letter's name before these words describes its look, not its script.
_NO_SCRIPT = frozenset(
    [
        "MATHEMATICAL",
        "FULLWIDTH",
        "HALFWIDTH",
        "PARENTHESIZED",
        "CIRCLED",
        "SQUARED",
        "NEGATIVE",
        "MODIFIER",
        "DIGIT",
        "SMALL",
        "ROMAN",
        "DOUBLE-STRUCK",
        "SCRIPT",
        "NUMBER",
        "BLACK-LETTER",
        "FEMININE",
        "MASCULINE",
        "MICRO",
        "KELVIN",
        "OHM",
        "ANGSTROM",
        "PLANCK",
        "ESTIMATED",
        "INFORMATION",
        "COMBINING",
        "SUPERSCRIPT",
        "SUBSCRIPT",
        "VULGAR",
        "TURNED",
        "ROTATED",
        "DOUBLE",
        "ALEF",
        "BET",
        "GIMEL",
        "DALET",
    ]
)
# Scripts that are written next to Latin words without a space.
_JOINED = frozenset(
    [
        "CJK",
        "HIRAGANA",
        "KATAKANA",
        "KATAKANA-HIRAGANA",
        "HANGUL",
        "BOPOMOFO",
        "IDEOGRAPHIC",
        "THAI",
        "LAO",
        "KHMER",
        "MYANMAR",
        "TIBETAN",
    ]
)
# Greek and Cyrillic letters near enough, though UTS 39 pairs them with no ASCII one.
_ALSO = frozenset("\u03ba")


def strange_letters(text: str) -> Mapping[int, str]:
    """Return the positions and names of characters that look like ASCII ones."""
    if text.isascii():
        return {}
    is_latin = _reads_as_latin(text)
    found = dict(_strange_signs(text, is_latin=is_latin))
    is_turkish = _is_turkish(text)
    for word in _WORD.finditer(text):
        if not word.group().isascii():
            found.update(
                (at, f"{name_of(text[at])}: not a Latin letter")
                for at in _strange_in(text, word, is_latin=is_latin)
                if not (is_turkish and text[at] == _DOTLESS_I) and at not in found
            )
    return found


def named(text: str, index: int, strange: Mapping[int, str]) -> str | None:
    """Return the name of the misleading character at this position, or None."""
    char = text[index]
    if char.isascii() and (char.isprintable() or char in _PLAIN_SPACE):
        return None
    if char == "\r" and text[index + 1 : index + 2] == "\n":
        return None
    if char in _JOINERS and _is_in_emoji(text, index):
        return None
    if index in strange:
        return strange[index]
    if _is_unseen(char) or _is_piled(text, index):
        return f"U+{ord(char):04X} {name_of(char)}"
    return None


def is_hidden(char: str) -> bool:
    """Tell whether a character is invisible on its own."""
    is_plain = char.isascii() and char.isprintable()
    return not is_plain and char != " " and _is_unseen(char)


@lru_cache(maxsize=4_096)
def name_of(char: str) -> str:
    """Return a character's name in Unicode, in small letters."""
    return unicodedata.name(char, "a character without a name").lower()


def _strange_signs(text: str, *, is_latin: bool) -> Iterator[tuple[int, str]]:
    """Yield digits outside ASCII, and signs that look like ASCII ones."""
    for at, char in enumerate(text):
        if char.isascii():
            continue
        if unicodedata.category(char) == "Nd":
            yield at, f"{name_of(char)}: not a digit from 0 to 9"
        elif _is_strange_sign(text, at, is_latin=is_latin):
            yield (
                at,
                f"{name_of(char)}: looks like \N{LEFT DOUBLE QUOTATION MARK}{_twin(char)}\N{RIGHT DOUBLE QUOTATION MARK}",
            )


def _is_strange_sign(text: str, at: int, *, is_latin: bool) -> bool:
    char = text[at]
    kind = unicodedata.category(char)
    if kind[0] not in "PS" and kind != "Lm":
        return False
    if char == _TIMES:
        return _between(text, at).isalpha()
    twin = _twin(char)
    if not twin or char in _ORDINARY or (kind == "Lm" and set(twin) <= set("'\"`^")):
        return False
    # Full-width signs are normal among Chinese characters, others in their script.
    if unicodedata.east_asian_width(char) in "FW":
        return bool(_between(text, at))
    return is_latin or _script(char) is None


@lru_cache(maxsize=4_096)
def _twin(char: str) -> str:
    """Return the ASCII text that a character resembles, or nothing."""
    plain = unicodedata.normalize("NFKC", char)
    is_visible = plain.isascii() and plain.strip() and ord(char) > 0xFF
    return LOOKS_LIKE.get(char, plain if is_visible else "")


def _between(text: str, at: int) -> str:
    """Return the ASCII letters or digits on both sides, or nothing."""
    sides = text[max(0, at - 1) : at], text[at + 1 : at + 2]
    return "".join(sides) if all(map(_ASCII.fullmatch, sides)) else ""


def _strange_in(text: str, word: re.Match[str], *, is_latin: bool) -> Iterator[int]:
    begin, letters = word.start(), word.group()
    scripts = Counter(filter(None, map(_script, letters)))
    foreign = _not_of_the_word(scripts, is_latin=is_latin)
    is_disguised = is_latin and all(c.isascii() or _is_look_alike(c) for c in letters)
    for at, char in enumerate(letters, begin):
        if char.isascii() and "LATIN" not in foreign:
            continue
        script = _script(char)
        if (
            _is_ascii_double(char)
            or script in foreign
            or (is_disguised and script not in (None, "LATIN"))
            or (script in (None, "LATIN") and _is_odd_form(char))
            or (script in _JOINED and char in LOOKS_LIKE and _between(text, at))
        ):
            yield at


def _not_of_the_word(scripts: Counter[str], *, is_latin: bool) -> frozenset[str]:
    """Return the scripts that are odd in a word of this text."""
    alone = Counter({name: n for name, n in scripts.items() if name not in _JOINED})
    if len(alone) < 2:
        return frozenset()
    home = "LATIN" if is_latin and "LATIN" in alone else alone.most_common(1)[0][0]
    return frozenset(alone) - {home}


def _reads_as_latin(text: str) -> bool:
    """Tell whether the text reads as Latin: most of it is, or all looks like it."""
    letters = [char for char in text if char.isalpha()]
    latin = sum(_script(char) == "LATIN" for char in letters)
    return latin * 2 >= len(letters) or all(map(_is_look_alike, letters))


def _is_turkish(text: str) -> bool:
    """Tell whether enough words have Turkish letters for a dotless i to be genuine."""
    words = _WORD.findall(text)
    return sum(map(bool, map(_TURKISH.search, words))) * 10 >= len(words)


def _is_look_alike(char: str) -> bool:
    return char in LOOKS_LIKE or char in _ALSO or _script(char) == "LATIN"


def _is_odd_form(char: str) -> bool:
    """Tell whether this is a variant of an ASCII letter: a dotless i, a script g."""
    is_letter = char.isalpha() and unicodedata.category(char) != "Lm"
    twin = LOOKS_LIKE.get(char, "")
    return is_letter and len(twin) == 1 and char not in _ORDINARY


@lru_cache(maxsize=4_096)
def _script(char: str) -> str | None:
    """Return a letter's script, which begins its Unicode name."""
    if not char.isalpha():
        return None
    first, _, _ = unicodedata.name(char, "").partition(" ")
    return None if not first or first in _NO_SCRIPT else first


@lru_cache(maxsize=4_096)
def _is_ascii_double(char: str) -> bool:
    """Tell whether this is a styled ASCII character: mathematical, full-width."""
    return ord(char) > 0xFF and unicodedata.normalize("NFKC", char).isascii()


@lru_cache(maxsize=4_096)
def _is_unseen(char: str) -> bool:
    category = unicodedata.category(char)
    return (
        category in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs")
        or char in FILLERS
        or unicodedata.name(char, "").startswith("VARIATION SELECTOR")
    )


def _is_piled(text: str, index: int) -> bool:
    """Tell whether this is one mark too many on its letter."""
    if not unicodedata.combining(text[index]):
        return False
    before = text[max(0, index - _MOST_MARKS) : index]
    return len(before) == _MOST_MARKS and all(map(unicodedata.combining, before))


def _is_in_emoji(text: str, index: int) -> bool:
    before = text[index - 1] if index else ""
    return bool(before) and (
        unicodedata.category(before) in ("So", "Sk") or before in _JOINERS
    )
