"""Untrusted text from customers, tools and models, shown exactly and framed.

Everything is escaped. Misleading characters are written out: invisible and
bidirectional characters, letters that only look like Latin ones, piled-up marks, runs
of empty lines and of blanks. Links are shown with their host and are not links.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from urllib.parse import urlsplit

from markupsafe import Markup

from keyturn.approvals.view.blanks import Gap, gaps
from keyturn.approvals.view.oddity import is_hidden, name_of, named, strange_letters
from keyturn.orchestrator.rules.text import json_object

_LINK = re.compile(
    r"""(?:https?|ftp|mailto|javascript|data|file|tel|sms|vbscript|blob|wss?):[^\s<>"']+"""
    r"""|www\.[^\s<>"']+""",
    re.I,
)
_TOKEN = re.compile(r"\S+\s*|\s+")
# Longer texts take too long to compare word by word; they are marked whole.
MOST_WORDS = 1_500
# Characters that `named` may name; all others are shown as they are.
_NOT_PLAIN = re.compile(r"[^ \n\t!-~]")
# The common case in lists: ASCII words with single blanks.
_SIMPLE = re.compile(r"[!-~]+(?: [!-~]+)*")
# Our sentences put untrusted texts into these quotes, and nothing else.
_QUOTED = re.compile("“([^“”]*)”")


def shown(text: object) -> Markup:
    """Return text as HTML that shows every character that matters."""
    text = str(text)
    if _SIMPLE.fullmatch(text) and not _LINK.search(text):
        return Markup.escape(text)
    return _rendered(text, 0, len(text), strange_letters(text))


def compared(before: str, after: str) -> tuple[Markup, Markup]:
    """Return two texts as HTML, with the words marked that only one of them has."""
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


def with_framed_quotes(sentence: str) -> Markup:
    """Return our sentence as HTML, with a frame around quoted untrusted text."""
    parts: list[Markup] = []
    start = 0
    for quoted in _QUOTED.finditer(sentence):
        parts += (shown(sentence[start : quoted.start()]), framed(quoted.group(1)))
        start = quoted.end()
    return Markup("").join([*parts, shown(sentence[start:])])


def framed(text: object) -> Markup:
    """Return a short untrusted text as HTML, framed within our own line."""
    return Markup('<span class="foreign">{}</span>').format(shown(text))


def visible(text: object) -> str:
    """Return text for a place that takes no HTML: a title, a tooltip."""
    text = str(text)
    return "".join(f"[U+{ord(char):04X}]" if is_hidden(char) else char for char in text)


def exact(text: str) -> Markup:
    """Return JSON as HTML, with misleading characters as JSON escapes."""
    strange = strange_letters(text)
    parts = (
        _escaped(char) if named(text, index, strange) else Markup.escape(char)
        for index, char in enumerate(text)
    )
    return Markup("").join(parts)


def oddities(text: object) -> list[str]:
    """Return the names of misleading characters in a text or value, each once."""
    text = "\n".join(_texts(text))
    strange = strange_letters(text)
    odd = (found.start() for found in _NOT_PLAIN.finditer(text))
    found = (named(text, index, strange) for index in odd)
    runs = (gap.words for gap in gaps(text))
    return list(dict.fromkeys((*runs, *(one for one in found if one))))


@lru_cache(maxsize=256)
def host_of(link: str) -> str:
    """Return a link's target: its host as in DNS, or its scheme."""
    # Browsers read a backslash as a slash, so it ends the host.
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
    strange = strange_letters(text)
    parts: list[Markup] = []
    for first, last, tag in runs:
        if first == last:
            continue
        inside = _rendered(text, tokens[first].start(), tokens[last - 1].end(), strange)
        parts.append(Markup(f"<{tag}>{{}}</{tag}>").format(inside) if tag else inside)  # noqa: S704 one of two tags of ours
    return Markup("").join(parts)


def _marked(text: str, tag: str) -> Markup:
    return Markup(f"<{tag}>{{}}</{tag}>").format(shown(text))  # noqa: S704 as above


def _rendered(text: str, start: int, end: int, strange: Mapping[int, str]) -> Markup:
    parts: list[str] = []
    for link in _LINK.finditer(text, start, end):
        parts.extend(_pieces(text, start, link.start(), strange))
        parts.append(_link(text, link, strange))
        start = link.end()
    parts.extend(_pieces(text, start, end, strange))
    return Markup("".join(parts))  # noqa: S704 each part is escaped


def _texts(value: object) -> Iterator[str]:
    if json_object.is_object(value):
        for name, child in value.items():
            yield str(name)
            yield from _texts(child)
    elif json_object.is_array(value):
        for child in value:
            yield from _texts(child)
    else:
        yield str(value)


def _link(text: str, link: re.Match[str], strange: Mapping[int, str]) -> str:
    inside = "".join(_pieces(text, link.start(), link.end(), strange))
    host = Markup.escape(host_of(link.group()))
    return f'<span class="link">{inside}<span class="host">{host}</span></span>'


def _pieces(
    text: str, start: int, end: int, strange: Mapping[int, str]
) -> Iterator[str]:
    for gap in gaps(text, start, end):
        yield from _characters(text, start, gap.start, strange)
        yield _gap_html(gap)
        start = gap.end
    yield from _characters(text, start, end, strange)


def _characters(
    text: str, start: int, end: int, strange: Mapping[int, str]
) -> Iterator[str]:
    plain = start
    for odd in _odd(text, start, end, strange):
        if plain < odd.start:
            yield str(Markup.escape(text[plain : odd.start]))
        yield _mark(text[odd.start], odd)
        plain = odd.end
    if plain < end:
        yield str(Markup.escape(text[plain:end]))


@dataclass
class _Odd:
    """A run of one odd character: one mark has its name for all of them."""

    start: int
    end: int
    name: str
    is_letter: bool


def _odd(text: str, start: int, end: int, strange: Mapping[int, str]) -> Iterator[_Odd]:
    run: _Odd | None = None
    for found in _NOT_PLAIN.finditer(text, start, end):
        at = found.start()
        name = named(text, at, strange)
        if run is not None:
            is_more = (run.end, run.name) == (at, name) and text[run.start] == text[at]
            if is_more:
                run.end += 1
                continue
            yield run
        run = _Odd(at, at + 1, name, at in strange) if name is not None else None
    if run is not None:
        yield run


def _gap_html(gap: Gap) -> str:
    words = _gap(gap.names, gap.words)
    return f"{words}\n" if gap.ends_line else words


@lru_cache(maxsize=4_096)
def _gap(names: str, words: str) -> str:
    span = Markup('<span class="gap" title="{}">{}</span>')
    return str(span.format(names, words))


def _mark(char: str, odd: _Odd) -> str:
    title = Markup.escape(odd.name)
    shown = Markup.escape(char) if odd.is_letter else f"<span>U+{ord(char):04X}</span>"
    return f'<mark class="odd" title="{title}">{shown * (odd.end - odd.start)}</mark>'


def _escaped(char: str) -> Markup:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    code = "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
    return Markup('<mark class="odd" title="{}">{}</mark>').format(name_of(char), code)
