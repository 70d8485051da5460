"""Reads a JSON value as an object, with the type to match."""

from pydantic import JsonValue

from keyturn.orchestrator.rules.text import canonical


def of(value: JsonValue) -> dict[str, JsonValue]:
    """Return a value that a schema has checked to be an object; else `TypeError`."""
    if not isinstance(value, dict):
        raise TypeError(f"This is a JSON {type(value).__name__}, not an object.")
    return value


def parse(text: str | bytes) -> dict[str, JsonValue]:
    """Return the object in Keyturn's own canonical JSON; else `TypeError`."""
    return of(canonical.parse(text))
