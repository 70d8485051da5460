"""Text from customers, tools and models, shown as it is and never as ours.

Everything is escaped. What an eye would miss is written out: invisible and
bidirectional characters, letters that only look like Latin ones, piled-up marks. Links
are shown with their host and are not links.
"""

import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import urlsplit

from markupsafe import Markup

# Fill a line but show nothing, though Unicode files them under letters and symbols.
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f")
_PLAIN_SPACE = frozenset(" \n\t")
_JOINERS = frozenset("\u200d\ufe0f")
# Cyrillic and Greek letters that a Latin reader takes for Latin ones.
_LOOK_ALIKES = frozenset(
    "аеіјорсухѕһԁԛԝӏАВЕКМНОРСТУХІЈЅ"  # noqa: RUF001 the very letters
    "αορνιυκΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"
)
_MOST_MARKS = 2
_WORD = re.compile(r"\w+")
_LINK = re.compile(
    r"""(?:https?|ftp|mailto|javascript|data):[^\s<>"']+|www\.[^\s<>"']+""", re.I
)


def shown(text: object) -> Markup:
    """Return text as HTML that shows every character that matters."""
    text = str(text)
    strange = _strange_letters(text)
    parts: list[str] = []
    start = 0
    for link in _LINK.finditer(text):
        parts.extend(_pieces(text, start, link.start(), strange))
        parts.append(_link(text, link, strange))
        start = link.end()
    parts.extend(_pieces(text, start, len(text), strange))
    return Markup("").join(Markup(part) for part in parts)  # noqa: S704 each part is escaped


def oddities(text: object) -> list[str]:
    """Return the names of what an eye would miss in a text, each once."""
    text = str(text)
    strange = _strange_letters(text)
    found = (_oddity(text, index, strange) for index in range(len(text)))
    return list(dict.fromkeys(one for one in found if one))


def host_of(link: str) -> str:
    """Return where a link leads: its host as DNS knows it, or its scheme."""
    try:
        parts = urlsplit(link if "://" in link or ":" in link else f"http://{link}")
        host = parts.hostname or ""
    except ValueError:
        return "nowhere: it is malformed"
    if not host:
        return f"{parts.scheme}: no host"
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


def _link(text: str, link: re.Match[str], strange: frozenset[int]) -> str:
    inside = "".join(_pieces(text, link.start(), link.end(), strange))
    host = Markup.escape(host_of(link.group()))
    return f'<span class="link">{inside}<span class="host">{host}</span></span>'


def _pieces(text: str, start: int, end: int, strange: frozenset[int]) -> Iterator[str]:
    plain = start
    for index in range(start, end):
        name = _oddity(text, index, strange)
        if name is None:
            continue
        yield str(Markup.escape(text[plain:index]))
        yield _mark(text[index], name, is_letter=index in strange)
        plain = index + 1
    yield str(Markup.escape(text[plain:end]))


def _mark(char: str, name: str, *, is_letter: bool) -> str:
    title = Markup.escape(name)
    if is_letter:
        return f'<mark class="odd" title="{title}">{Markup.escape(char)}</mark>'
    code = f"U+{ord(char):04X}"
    return f'<mark class="odd" title="{title}"><span>{code}</span></mark>'


def _oddity(text: str, index: int, strange: frozenset[int]) -> str | None:
    char = text[index]
    if char.isascii() and (char.isprintable() or char in _PLAIN_SPACE):
        return None
    if char in _JOINERS and _is_in_emoji(text, index):
        return None
    if index in strange:
        return f"{_name(char)}: not a Latin letter"
    if _is_unseen(char) or _is_piled(text, index):
        return f"U+{ord(char):04X} {_name(char)}"
    return None


def _is_unseen(char: str) -> bool:
    category = unicodedata.category(char)
    return (
        category in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs")
        or char in _BLANK_LETTERS
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


def _strange_letters(text: str) -> frozenset[int]:
    """Return where letters stand that look like Latin ones and are not."""
    if text.isascii():
        return frozenset()
    is_latin_text = _is_mostly_latin(text)
    found: set[int] = set()
    for word in _WORD.finditer(text):
        found.update(_strange_in(word, is_latin_text=is_latin_text))
    return frozenset(found)


def _strange_in(word: re.Match[str], *, is_latin_text: bool) -> Iterator[int]:
    letters = word.group()
    if letters.isascii():
        return
    mixed = any(_is_latin(char) for char in letters)
    disguised = is_latin_text and all(c in _LOOK_ALIKES or c.isascii() for c in letters)
    for offset, char in enumerate(letters):
        is_double = _is_ascii_double(char)
        if is_double or ((mixed or disguised) and _is_foreign(char)):
            yield word.start() + offset


def _is_mostly_latin(text: str) -> bool:
    letters = [char for char in text if char.isalpha()]
    return sum(map(_is_latin, letters)) * 2 >= len(letters)


def _is_latin(char: str) -> bool:
    return char.isalpha() and unicodedata.name(char, "").startswith("LATIN ")


def _is_foreign(char: str) -> bool:
    return unicodedata.name(char, "").startswith(
        ("CYRILLIC ", "GREEK ", "ARMENIAN ", "CHEROKEE ")
    )


def _is_ascii_double(char: str) -> bool:
    """Tell whether this is a letter or digit dressed up: mathematical, full-width."""
    return ord(char) > 0xFF and unicodedata.normalize("NFKC", char).isascii()


def _name(char: str) -> str:
    return unicodedata.name(char, "a character without a name").lower()
