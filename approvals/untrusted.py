"""Text from customers, tools and models, shown as it is and never as ours.

Everything is escaped. What an eye would miss is written out: invisible and
bidirectional characters, letters that only look like Latin ones, piled-up marks. Links
are shown with their host and are not links.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import cast
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
    r"""(?:https?|ftp|mailto|javascript|data|file|tel|sms|vbscript|blob|wss?):[^\s<>"']+"""
    r"""|www\.[^\s<>"']+""",
    re.I,
)
_TOKEN = re.compile(r"\S+\s*|\s+")
# Beyond this, comparing word by word takes too long; then the whole text is marked.
MOST_WORDS = 4_000
# A sentence of ours puts texts from outside into these quotes, and nothing else.
_QUOTED = re.compile("“([^“”]*)”")


def shown(text: object) -> Markup:
    """Return text as HTML that shows every character that matters."""
    text = str(text)
    return _rendered(text, 0, len(text), _strange_letters(text))


def compared(before: str, after: str) -> tuple[Markup, Markup]:
    """Return two texts as HTML, with the words that only one of them has marked."""
    old, new = (list(_TOKEN.finditer(text)) for text in (before, after))
    if max(len(old), len(new)) > MOST_WORDS:
        return _marked(before, "del"), _marked(after, "ins")
    matcher = SequenceMatcher(
        None, [one.group() for one in old], [one.group() for one in new]
    )
    blocks = matcher.get_opcodes()
    return (
        _runs(
            before,
            old,
            [(i, j, "del" if w != "equal" else "") for w, i, j, _, _ in blocks],
        ),
        _runs(
            after,
            new,
            [(i, j, "ins" if w != "equal" else "") for w, _, _, i, j in blocks],
        ),
    )


def told(sentence: str) -> Markup:
    """Return a sentence of ours as HTML; what it quotes from outside has a frame."""
    parts: list[Markup] = []
    start = 0
    for quoted in _QUOTED.finditer(sentence):
        parts += (shown(sentence[start : quoted.start()]), foreign(quoted.group(1)))
        start = quoted.end()
    return Markup("").join([*parts, shown(sentence[start:])])


def foreign(text: object) -> Markup:
    """Return a short text from outside as HTML, framed within a line of ours."""
    return Markup('<span class="foreign">{}</span>').format(shown(text))


def visible(text: object) -> str:
    """Return text for a place that takes no HTML: a title, a tooltip."""
    text = str(text)
    return "".join(
        f"[U+{ord(char):04X}]" if _is_hidden(char) else char for char in text
    )


def exact(text: str) -> Markup:
    """Return JSON as HTML, the same JSON: what an eye would miss is written as JSON can."""
    strange = _strange_letters(text)
    parts = (
        _escaped(char) if _oddity(text, index, strange) else Markup.escape(char)
        for index, char in enumerate(text)
    )
    return Markup("").join(parts)


def oddities(text: object) -> list[str]:
    """Return the names of what an eye would miss in a text or a value, each once."""
    text = "\n".join(_texts(text))
    strange = _strange_letters(text)
    found = (_oddity(text, index, strange) for index in range(len(text)))
    return list(dict.fromkeys(one for one in found if one))


def host_of(link: str) -> str:
    """Return where a link leads: its host as DNS knows it, or its scheme."""
    # Browsers take a backslash for a slash: what stands behind one is no host.
    link = link.replace("\\", "/")
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


def _runs(
    text: str, tokens: Sequence[re.Match[str]], runs: Sequence[tuple[int, int, str]]
) -> Markup:
    strange = _strange_letters(text)
    parts: list[Markup] = []
    for first, last, tag in runs:
        if first == last:
            continue
        inside = _rendered(text, tokens[first].start(), tokens[last - 1].end(), strange)
        parts.append(Markup(f"<{tag}>{{}}</{tag}>").format(inside) if tag else inside)  # noqa: S704 one of two tags of ours
    return Markup("").join(parts)


def _marked(text: str, tag: str) -> Markup:
    return Markup(f"<{tag}>{{}}</{tag}>").format(shown(text))  # noqa: S704 as above


def _rendered(text: str, start: int, end: int, strange: frozenset[int]) -> Markup:
    parts: list[str] = []
    for link in _LINK.finditer(text, start, end):
        parts.extend(_pieces(text, start, link.start(), strange))
        parts.append(_link(text, link, strange))
        start = link.end()
    parts.extend(_pieces(text, start, end, strange))
    return Markup("").join(Markup(part) for part in parts)  # noqa: S704 each part is escaped


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        pairs = cast("dict[object, object]", value)
        for name, child in pairs.items():
            yield str(name)
            yield from _texts(child)
    elif isinstance(value, list):
        for child in cast("list[object]", value):
            yield from _texts(child)
    else:
        yield str(value)


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


def _escaped(char: str) -> Markup:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    code = "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
    return Markup('<mark class="odd" title="{}">{}</mark>').format(_name(char), code)


def _is_hidden(char: str) -> bool:
    is_plain = char.isascii() and char.isprintable()
    return not is_plain and char != " " and _is_unseen(char)


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
