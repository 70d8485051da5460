"""Amounts as their viewer writes numbers: decimals by ISO 4217, separators by locale.

The locale is the first of `Accept-Language` that babel knows, for pages alone: the API,
the command line and notices write a point and no separators.
"""

import re
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from babel.core import Locale, UnknownLocaleError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from keyturn.orchestrator.rules.money.currency import is_active, places_of
from keyturn.orchestrator.rules.money.money import format_minor

_viewer: ContextVar[Locale | None] = ContextVar("viewer", default=None)
_SPACES = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2019": "'"})
_AMOUNT = re.compile(r"(?<![\w.,-])(-?)(\d{1,16})(?:\.(\d{1,4}))? ([A-Z]{3})\b", re.A)
# How many languages of `Accept-Language` are read.
_LONGEST = 200


class Unclear(ValueError):
    """A text that is no amount, or is ambiguous; says how to write it."""


class _Marks(NamedTuple):
    decimal: str
    group: str


class ViewersLocale:
    """Middleware that sets the viewer's number format for each page request."""

    def __init__(self, app: ASGIApp) -> None:
        """Take the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("accept-language", "")
        with viewed_in(asked):
            await self._app(scope, receive, send)


@contextmanager
def viewed_in(accept_language: str) -> Generator[None]:
    """Write and read amounts in the format of these preferred languages."""
    token = _viewer.set(locale_of(accept_language))
    try:
        yield
    finally:
        _viewer.reset(token)


def locale_of(accept_language: str) -> Locale:
    """Return the first locale that a browser prefers and babel knows, else English."""
    ranked: list[tuple[float, str]] = []
    for part in accept_language[:_LONGEST].split(","):
        tag, _, weight = part.strip().partition(";q=")
        try:
            ranked.append((-float(weight or 1), tag.strip()))
        except ValueError:
            continue
    for _, tag in sorted(ranked, key=lambda one: one[0]):
        try:
            return Locale.parse(tag, sep="-")
        except (ValueError, TypeError, UnknownLocaleError):
            continue
    return Locale("en")


def text(amount: int, currency: str) -> str:
    """Return an amount of minor units with its code: `1,249.00 USD`."""
    locale = _viewer.get()
    if locale is None:
        return format_minor(amount, currency)
    return f"{_number(amount, places_of(currency), locale)} {currency}"


def in_words(words: object) -> str:
    """Return our own text, such as a rule's, with amounts in the viewer's format."""
    return _AMOUNT.sub(_as_viewed, str(words))


def _as_viewed(found: re.Match[str]) -> str:
    sign, whole, decimals, currency = found.groups()
    digits = decimals or ""
    if not is_active(currency) or len(digits) != places_of(currency):
        return found[0]
    return text(int(f"{sign}{whole}{digits}"), currency)


def count(number: int) -> str:
    """Return a whole number with its viewer's separators of thousands."""
    return _number(number, 0, _viewer.get() or Locale("en"))


def typed(amount: int, currency: str) -> str:
    """Return an amount as its viewer types it: without separators of thousands."""
    plain = format_minor(amount, currency).removesuffix(f" {currency}")
    return plain.replace(".", _marks().decimal)


def read(written: str, currency: str) -> Decimal:
    """Return the amount that a viewer typed; raises `Unclear` in words of a page.

    Separators are the viewer's own. Ambiguous separators are refused.
    """
    marks, places = _marks(), places_of(currency)
    said = written.translate(_SPACES).strip()
    decimal, group = re.escape(marks.decimal), re.escape(marks.group)
    form = rf"(\d{{1,16}}|\d{{1,3}}({group}\d{{3}})+)({decimal}\d{{1,6}})?"
    if not re.fullmatch(form, said, re.ASCII) or len(said) > 30:
        raise Unclear(_hint(said, marks))
    has_decimals = marks.decimal in said
    if places == 3 and said.count(marks.group) == 1 and not has_decimals:
        whole, rest = said.split(marks.group)
        raise Unclear(
            f"can be read as {whole}{rest} or as {whole}{marks.decimal}{rest}: write "
            f"{whole}{rest}{marks.decimal}000, or {whole}{marks.decimal}{rest}"
        )
    return Decimal(said.replace(marks.group, "").replace(marks.decimal, "."))


def _hint(said: str, marks: _Marks) -> str:
    other = "." if marks.decimal == "," else ","
    if other not in said and marks.decimal not in said:
        return "is not an amount"
    names = {".": "a point", ",": "a comma"}
    wanted = names.get(marks.decimal, marks.decimal)
    return f"is not an amount. Write {wanted}, not {names[other]}"


def _marks() -> _Marks:
    locale = _viewer.get() or Locale("en")
    symbols = locale.number_symbols["latn"]
    group = str(symbols["group"]).translate(_SPACES)
    return _Marks(str(symbols["decimal"]), group)


# A queue shows the same amounts again and again, each of them twice.
@lru_cache(maxsize=4_096)
def _number(amount: int, places: int, locale: Locale) -> str:
    # A locale's pattern has up to three decimals; it is shared, so must not be changed.
    pattern = copy(locale.decimal_formats[None])
    pattern.frac_prec = (places, places)
    written = pattern.apply(Decimal(amount).scaleb(-places), locale)
    return str(written).translate(_SPACES)
