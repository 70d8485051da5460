"""Conversion of a value to the texts of a form.

A form is a mapping of names to texts, in order. A field at `/items/0/sku` has its text
under `v/items/0/sku`; `c…` is a currency, `i…` the ids of a list's items, `g…` stands
where an optional field is given, `w…` says what it was before: `absent` or `null`.
"""

import json
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from keyturn.approvals.view import amounts
from keyturn.approvals.view.form.shape import Shape
from keyturn.orchestrator.rules.text import canonical

KINDS = frozenset("vcigw")

Form = Mapping[str, Sequence[str]]


def step(path: str, name: str) -> str:
    """Return the path of a member, escaped as in a JSON pointer."""
    return f"{path}/{name.replace('~', '~0').replace('/', '~1')}"


def fill(shape: Shape, value: JsonValue) -> dict[str, list[str]]:
    """Return the form that shows `value`."""
    form: dict[str, list[str]] = {}
    _put(form, shape, value, "")
    return form


def option_text(option: JsonValue) -> str:
    """Return an option's text in a form: its JSON, which preserves its type."""
    return canonical.text(option)


def _put(form: dict[str, list[str]], shape: Shape, value: JsonValue, path: str) -> None:
    match shape.kind:
        case "object":
            _put_object(form, shape, value, path)
        case "list":
            _put_list(form, shape, value, path)
        case "money":
            _put_money(form, value, path)
        case "json":
            shown = json.dumps(value, indent=2, ensure_ascii=False)
            form[f"v{path}"] = [shown]
        case "boolean" | "choice":
            form[f"v{path}"] = [option_text(value)]
        case _:
            form[f"v{path}"] = ["" if value is None else str(value)]


def _put_object(
    form: dict[str, list[str]], shape: Shape, value: JsonValue, path: str
) -> None:
    members = value if isinstance(value, dict) else {}
    for child in shape.children:
        at = step(path, child.name)
        absent = child.name not in members
        if child.is_optional:
            if absent or _is_left_out(child, members[child.name]):
                form[f"w{at}"] = ["absent" if absent else "null"]
                continue
            form[f"g{at}"] = ["yes"]
        if not absent:
            _put(form, child, members[child.name], at)


def _is_left_out(child: Shape, value: JsonValue) -> bool:
    """Tell whether a null means that nothing is given; it may be a value itself."""
    is_value = not child.nullable and child.kind in ("choice", "json")
    return value is None and not is_value


def _put_list(
    form: dict[str, list[str]], shape: Shape, value: JsonValue, path: str
) -> None:
    items = value if isinstance(value, list) else []
    form[f"i{path}"] = [str(index) for index in range(len(items))]
    for index, item in enumerate(items):
        at = f"{path}/{index}"
        if shape.item is None:
            continue
        if shape.item.nullable:
            if item is None:
                continue
            form[f"g{at}"] = ["yes"]
        _put(form, shape.item, item, at)


def _put_money(form: dict[str, list[str]], value: JsonValue, path: str) -> None:
    if not isinstance(value, dict):
        return
    amount, currency = value.get("amount"), value.get("currency")
    if isinstance(amount, int) and isinstance(currency, str):
        form[f"v{path}"] = [amounts.typed(amount, currency)]
        form[f"c{path}"] = [currency]
