"""Amending: whether edited arguments ask for no more than the previous ones (P10)."""

from pydantic import JsonValue

from keyturn.orchestrator.rules.contract.marks import PROSE_KEY
from keyturn.orchestrator.rules.contract.release import ToolSpec
from keyturn.orchestrator.rules.policy import stakes
from keyturn.orchestrator.rules.text import canonical


def is_only_less(
    spec: ToolSpec, shown: dict[str, JsonValue], edited: dict[str, JsonValue]
) -> bool:
    """Return whether `edited` is `shown` with only less money or other wording."""
    names = set(shown) | set(edited)
    changed = [name for name in names if _differs(name, shown, edited)]
    return all(
        _is_less_money(spec, name, shown, edited) or _is_wording(spec, name)
        for name in changed
    )


def is_same_but_money(spec: ToolSpec, drafted: JsonValue, edited: JsonValue) -> bool:
    """Return whether `edited` is `drafted` with only another amount or wording."""
    if not isinstance(drafted, dict) or not isinstance(edited, dict):
        return drafted == edited
    return all(
        name == spec.money or _is_wording(spec, name)
        for name in set(drafted) | set(edited)
        if _differs(name, drafted, edited)
    )


def _differs(
    name: str, shown: dict[str, JsonValue], edited: dict[str, JsonValue]
) -> bool:
    if name not in shown or name not in edited:
        return True
    # Compared as bytes: Python treats True and 1 as equal.
    return canonical.encode(shown[name]) != canonical.encode(edited[name])


def _is_less_money(
    spec: ToolSpec,
    name: str,
    shown: dict[str, JsonValue],
    edited: dict[str, JsonValue],
) -> bool:
    if name != spec.money:
        return False
    old, new = stakes.declared_money(spec, shown), stakes.declared_money(spec, edited)
    if old is None or new is None:
        return False
    return new.currency == old.currency and new.amount <= old.amount


def _is_wording(spec: ToolSpec, name: str) -> bool:
    properties = spec.parameters.get("properties")
    field = properties.get(name) if isinstance(properties, dict) else None
    return isinstance(field, dict) and field.get(PROSE_KEY) is True
