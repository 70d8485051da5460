"""Any JSON as facts that a person reads: names and values, money as money."""

from dataclasses import dataclass

from pydantic import JsonValue

from approvals.form.shape import Shape, label
from orchestrator import canonical
from orchestrator.errors import MalformedJson
from orchestrator.money import format_minor


@dataclass(frozen=True)
class Fact:
    """One name and its value: a text, or further facts."""

    name: str
    text: str = ""
    inner: tuple["Fact", ...] = ()
    is_plain: bool = True

    @property
    def is_long(self) -> bool:
        """Tell whether the text wants lines of its own."""
        return len(self.text) > 72 or "\n" in self.text


def of(value: JsonValue) -> tuple[Fact, ...]:
    """Return the facts in a value; what is no object is one fact without a name."""
    if isinstance(value, dict):
        return tuple(_fact(name, child) for name, child in value.items())
    if isinstance(value, list):
        return tuple(
            _fact(str(n) if isinstance(child, dict | list) else "", child)
            for n, child in enumerate(value, start=1)
        )
    return (_fact("", value),)


def parsed(text: str | None) -> JsonValue:
    """Return the JSON in a text, or the text itself where it is none."""
    if text is None:
        return None
    try:
        return canonical.parse(text)
    except MalformedJson:
        return text


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


def changes(before: JsonValue, after: JsonValue) -> list[tuple[str, str, str]]:
    """Return what differs between two values: the field, before and after."""
    old, new = _flat(before, ""), _flat(after, "")
    names = [*old, *(name for name in new if name not in old)]
    return [
        (name, old.get(name, "left out"), new.get(name, "left out"))
        for name in names
        if old.get(name) != new.get(name)
    ]


def _fact(name: str, value: JsonValue) -> Fact:
    money = _money(value)
    if money is not None:
        return Fact(label(name), money)
    if isinstance(value, dict | list):
        if not value:
            return Fact(label(name), "nothing")
        return Fact(label(name), inner=of(value))
    return Fact(label(name), _words(value))


def _flat(value: JsonValue, name: str) -> dict[str, str]:
    money = _money(value)
    if money is not None:
        return {name: money}
    if isinstance(value, dict):
        pairs = [(label(key), child) for key, child in value.items()]
    elif isinstance(value, list):
        pairs = [(str(n), child) for n, child in enumerate(value, start=1)]
    else:
        return {name: _words(value)}
    found: dict[str, str] = {}
    for key, child in pairs:
        found.update(_flat(child, f"{name}, {key.lower()}" if name else key))
    return found


def _money(value: JsonValue) -> str | None:
    if not isinstance(value, dict) or set(value) != {"amount", "currency"}:
        return None
    amount, currency = value["amount"], value["currency"]
    if isinstance(amount, int) and isinstance(currency, str):
        try:
            return format_minor(amount, currency)
        except (KeyError, ValueError):
            return None
    return None


def _words(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
