"""An effect's error, as different viewers may read it.

The error of an unknown effect comes from a tool, a library or a service: only operators
read it. A provider's definite refusal is meant for people, and everybody reads it.
"""

from collections.abc import Mapping
from typing import Protocol

from pydantic import JsonValue


class Effect(Protocol):
    """The fields of an effect that are read here."""

    key: str
    error: str | None

    @property
    def status(self) -> str:
        """Return one of `EffectStatus`."""
        ...


def error(effect: Effect, *, is_operator: bool) -> str | None:
    """Return an effect's error as this viewer may read it."""
    if effect.status != "unknown" or effect.error is None or is_operator:
        return effect.error
    return (
        f"the outcome is unknown; an operator can see the error, reference {effect.key}"
    )


def payload(
    kind: str, subject: str | None, found: JsonValue, *, is_operator: bool
) -> JsonValue:
    """Return an audit entry's payload as this viewer may read it."""
    if is_operator or kind != "effect.unknown" or not isinstance(found, Mapping):
        return found
    return {**found, "error": f"only operators can see it, reference {subject}"}
