"""Conversion of a form's texts to a value of the schema's types."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from pydantic import JsonValue

from keyturn.approvals.view import amounts
from keyturn.approvals.view.form.fill import Form, option_text, step
from keyturn.approvals.view.form.shape import Shape
from keyturn.orchestrator.rules.errors import MalformedJson
from keyturn.orchestrator.rules.money.currency import is_active, places_of
from keyturn.orchestrator.rules.money.money import LARGEST_AMOUNT
from keyturn.orchestrator.rules.text import canonical

# RFC 8785 represents whole numbers exactly up to here.
LARGEST_WHOLE: Final = 2**53 - 1
_WHOLE = re.compile(r"[+-]?\d{1,20}")
_NUMBER = re.compile(r"[+-]?\d{1,300}(\.\d{1,300})?([eE][+-]?\d{1,3})?")


class _Absent:
    """The marker of a missing member."""


ABSENT: Final = _Absent()


@dataclass
class Reading:
    """The result of reading a form: the value, and errors by field path."""

    value: JsonValue = None
    errors: dict[str, str] = field(default_factory=dict[str, str])


def read(
    shape: Shape, form: Form, *, shown: JsonValue = None, fresh: bool = False
) -> Reading:
    """Return the value of a form.

    `shown` is the value that the form was filled with: an unchanged text is returned
    byte for byte, even if the browser changed its line ends. A `fresh` form starts
    empty, so a required text that is left empty is an error.
    """
    found = _Reader(form, fresh)
    value = found.value(shape, shown, "")
    return Reading(None if isinstance(value, _Absent) else value, found.errors)


class _Reader:
    def __init__(self, form: Form, fresh: bool) -> None:  # noqa: FBT001 private, one caller
        self._form = form
        self._fresh = fresh
        self.errors: dict[str, str] = {}

    def value(  # noqa: PLR0911 one branch a kind
        self, shape: Shape, shown: JsonValue, path: str
    ) -> JsonValue | _Absent:
        match shape.kind:
            case "object":
                return self._object(shape, shown, path)
            case "list":
                return self._list(shape, shown, path)
            case "money":
                return self._money(path)
            case "choice" | "boolean":
                return self._choice(shape, path)
            case "integer" | "number":
                return self._number(shape, path)
            case "json":
                return self._json(path)
            case "text" | "date":
                return self._text(shape, shown, path)

    def _object(self, shape: Shape, shown: JsonValue, path: str) -> JsonValue:
        before = shown if isinstance(shown, dict) else {}
        found: dict[str, JsonValue] = {}
        for child in shape.children:
            at = step(path, child.name)
            value = self._member(child, before.get(child.name), at)
            if not isinstance(value, _Absent):
                found[child.name] = value
        return found

    def _member(self, child: Shape, shown: JsonValue, at: str) -> JsonValue | _Absent:
        if not child.is_optional or f"g{at}" in self._form:
            return self.value(child, shown, at)
        if child.required or (child.nullable and self._first(f"w{at}") == "null"):
            return None
        return ABSENT

    def _list(self, shape: Shape, shown: JsonValue, path: str) -> JsonValue:
        before = shown if isinstance(shown, list) else []
        item = shape.item
        if item is None:
            raise TypeError(f"The shape of the list at {path!r} has no item.")
        found: list[JsonValue] = []
        for key in self._form.get(f"i{path}", ()):
            at = f"{path}/{key}"
            if item.nullable and f"g{at}" not in self._form:
                found.append(None)
                continue
            known = key.isdecimal() and int(key) < len(before)
            value = self.value(item, before[int(key)] if known else None, at)
            found.append(None if isinstance(value, _Absent) else value)
        return found

    def _text(self, shape: Shape, shown: JsonValue, path: str) -> JsonValue:
        # A browser sends every line end as CRLF.
        text = _line_ends(self._first(f"v{path}"))
        if isinstance(shown, str) and _line_ends(shown) == text:
            return shown
        is_needed = self._fresh or (shape.shortest > 0 and not text)
        if is_needed and not text.strip():
            self.errors[path] = "Fill in this field."
        return text

    def _choice(self, shape: Shape, path: str) -> JsonValue:
        options = shape.options if shape.kind == "choice" else (True, False)
        by_text = {option_text(option): option for option in options}
        text = self._first(f"v{path}")
        if text not in by_text:
            self.errors[path] = "Choose one of the options."
            return None
        return by_text[text]

    def _number(self, shape: Shape, path: str) -> JsonValue:
        text = self._first(f"v{path}").strip()
        if _WHOLE.fullmatch(text):
            return self._whole(int(text), path)
        if shape.kind == "integer":
            self.errors[path] = f"{_quoted(text)} is not a whole number."
            return None
        if _NUMBER.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
        hint = " Write a point, not a comma." if "," in text else ""
        self.errors[path] = f"{_quoted(text)} is not a number.{hint}"
        return None

    def _whole(self, value: int, path: str) -> JsonValue:
        if abs(value) <= LARGEST_WHOLE:
            return value
        self.errors[path] = f"{value} is too large for a number."
        return None

    def _money(self, path: str) -> JsonValue:
        currency = self._first(f"c{path}").strip().upper()
        text = self._first(f"v{path}").strip()
        if not is_active(currency):
            self.errors[path] = (
                f"{_quoted(currency)} is not a currency code; write for example USD."
            )
            return None
        try:
            amount = amounts.read(text, currency)
        except amounts.Unclear as error:
            self.errors[path] = f"{_quoted(text)} {error}."
            return None
        return self._minor(amount, currency, path)

    def _minor(self, amount: Decimal, currency: str, path: str) -> JsonValue:
        places = places_of(currency)
        minor = amount.scaleb(places)
        if minor != minor.to_integral_value():
            self.errors[path] = f"{currency} has at most {places} decimal places."
            return None
        if not 1 <= minor <= LARGEST_AMOUNT:
            self.errors[path] = (
                "The amount must be more than zero."
                if minor < 1
                else f"{amount} {currency} is too large for an amount."
            )
            return None
        return {"amount": int(minor), "currency": currency}

    def _json(self, path: str) -> JsonValue:
        try:
            return canonical.parse(self._first(f"v{path}"))
        except MalformedJson as error:
            self.errors[path] = str(error)
            return None

    def _first(self, name: str) -> str:
        return next(iter(self._form.get(name, ())), "")


def _line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _quoted(text: str) -> str:
    return f"“{text[:40]}”" if text else "Nothing"


def form_of(pairs: Mapping[str, JsonValue]) -> dict[str, list[str]]:
    """Return the form in a saved draft; drops members that are not lists of texts."""
    return {
        name: [one for one in values if isinstance(one, str)]
        for name, values in pairs.items()
        if isinstance(values, list)
    }
