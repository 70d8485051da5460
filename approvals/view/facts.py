"""Any JSON as facts that a person reads: names and values, money as money."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from keyturn.approvals.view import amounts
from keyturn.approvals.view.form.shape import Shape, label
from keyturn.orchestrator.rules.errors import MalformedJson
from keyturn.orchestrator.rules.text import canonical, model_notices

# Addresses and links longer than this do not fit a narrow column unbroken.
WIDE_WORD = 16


@dataclass(frozen=True)
class Fact:
    """One name and its value: a text, or further facts.

    `is_text` marks a string, which may be untrusted.
    """

    name: str
    text: str = ""
    inner: tuple["Fact", ...] = ()
    is_text: bool = False

    @property
    def is_long(self) -> bool:
        """Tell whether the text wants lines of its own."""
        return len(self.text) > 72 or "\n" in self.text

    @property
    def is_wide(self) -> bool:
        """Tell whether a word is too long for a column of a telephone."""
        return any(len(word) > WIDE_WORD for word in self.text.split())


def of(value: JsonValue) -> tuple[Fact, ...]:
    """Return the facts in a value; one that is no object is one unnamed fact."""
    if isinstance(value, dict):
        return tuple(_fact(name, child) for name, child in value.items())
    if isinstance(value, list):
        return tuple(
            _fact(str(n) if isinstance(child, dict | list) else "", child)
            for n, child in enumerate(value, start=1)
        )
    return (_fact("", value),)


def parsed(text: str | None) -> JsonValue:
    """Return the JSON in a text, or the text itself if it is not JSON."""
    if text is None:
        return None
    try:
        return canonical.parse(text)
    except MalformedJson:
        return text


def answered(text: str | None) -> JsonValue:
    """Return a call's answer for people: data, or words without their code."""
    return parsed(model_notices.for_people(text)) if text is not None else None


def in_order(value: JsonValue, shape: Shape) -> JsonValue:
    """Return a value with its members as the schema lists them, not by the alphabet."""
    if isinstance(value, list) and shape.item is not None:
        return [in_order(one, shape.item) for one in value]
    if not isinstance(value, dict) or not shape.children:
        return value
    known = {child.name: child for child in shape.children}
    rest = {name: child for name, child in value.items() if name not in known}
    ours: dict[str, JsonValue] = {
        name: in_order(value[name], child)
        for name, child in known.items()
        if name in value
    }
    return {**ours, **rest}


Change = tuple[str, str, str]
Side = tuple[str, str, str, str]


def changes(before: JsonValue, after: JsonValue) -> list[Change]:
    """Return the differences of two values: the field, before and after."""
    return [(name, old, new) for name, (old, new) in _differing(before, after)]


def sides(proposed: JsonValue, decided: JsonValue, effective: JsonValue) -> list[Side]:
    """Return the fields in which three values are not all equal, and each value."""
    return [
        (name, one, two, three)
        for name, (one, two, three) in _differing(proposed, decided, effective)
    ]


def _differing(*values: JsonValue) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each field that differs, with each value's text."""
    found = [dict(_leaves(value, ())) for value in values]
    for path in dict.fromkeys(path for one in found for path in one):
        leaves = [one.get(path, _LEFT_OUT) for one in found]
        # Compares JSON: null is not the word “none”, and 1 is not “1”.
        if len({leaf.key for leaf in leaves}) == 1:
            continue
        texts = [leaf.text for leaf in leaves]
        if len(set(texts)) == 1:
            texts = [leaf.key for leaf in leaves]
        yield _named(path), texts


@dataclass(frozen=True)
class _Leaf:
    key: str
    text: str


_LEFT_OUT = _Leaf("", "left out")
_Path = tuple[str, ...]


def _leaves(value: JsonValue, path: _Path) -> Iterator[tuple[_Path, _Leaf]]:
    money = _money(value)
    if money is None and isinstance(value, dict | list) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value, start=1)
        for name, child in pairs:
            yield from _leaves(child, (*path, str(name)))
        return
    text = money or ("nothing" if value in ({}, []) else _words(value))
    yield path, _Leaf(canonical.text(value), text)


def _named(path: _Path) -> str:
    return ", ".join(
        label(name).lower() if depth else label(name) for depth, name in enumerate(path)
    )


def _fact(name: str, value: JsonValue) -> Fact:
    money = _money(value)
    if money is not None:
        return Fact(label(name), money)
    if isinstance(value, dict | list):
        if not value:
            return Fact(label(name), "nothing")
        return Fact(label(name), inner=of(value))
    return Fact(label(name), _words(value), is_text=isinstance(value, str))


def _money(value: JsonValue) -> str | None:
    if not isinstance(value, dict) or set(value) != {"amount", "currency"}:
        return None
    amount, currency = value["amount"], value["currency"]
    if isinstance(amount, int) and isinstance(currency, str):
        try:
            return amounts.text(amount, currency)
        except (KeyError, ValueError):
            return None
    return None


def _words(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
