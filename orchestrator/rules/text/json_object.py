"""Reads a JSON value as an object, with the type to match."""

from typing import Any, TypeGuard

from pydantic import JsonValue

from keyturn.orchestrator.rules.text import canonical


def of(value: JsonValue) -> dict[str, JsonValue]:
    """Return a value that a schema has checked to be an object; else `TypeError`."""
    if not isinstance(value, dict):
        raise TypeError(f"This is a JSON {type(value).__name__}, not an object.")
    return value


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Tell whether a value that was read from JSON is an object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Tell whether a value that was read from JSON is an array."""
    return isinstance(value, list)


def texts(value: JsonValue) -> list[str]:
    """Return a value that is known to be an array of texts."""
    return [str(one) for one in value] if isinstance(value, list) else []


def parse(text: str | bytes) -> dict[str, JsonValue]:
    """Return the object in Keyturn's own canonical JSON; else `TypeError`."""
    return of(canonical.parse(text))
