"""Values checked against JSON Schema, whatever a provider promises."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Protocol, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import (
    ValidationError,
    best_match,  # pyright: ignore[reportUnknownVariableType] half typed upstream
)
from pydantic import JsonValue

from orchestrator import canonical
from orchestrator.errors import InvalidValue


def check(value: JsonValue, schema: Mapping[str, JsonValue]) -> None:
    """Raise `InvalidValue`, in words a model or a person can use, where it misfits."""
    errors = list(_validator(canonical.text(dict(schema))).errors(value))
    if errors:
        raise InvalidValue("; ".join(_words(error) for error in errors[:5]))


class _Error(Protocol):
    """What is read of jsonschema's errors, which are half typed upstream."""

    message: str
    absolute_path: Iterable[str | int]
    context: list["_Error"]


class _Validator:
    def __init__(self, schema: dict[str, JsonValue]) -> None:
        self._validator = Draft202012Validator(
            schema, format_checker=Draft202012Validator.FORMAT_CHECKER
        )

    def errors(self, value: JsonValue) -> Iterable[_Error]:
        found = self._validator.iter_errors(value)  # pyright: ignore[reportUnknownMemberType] see _Error
        return cast("Iterable[_Error]", found)


@lru_cache(maxsize=512)
def _validator(schema: str) -> _Validator:
    return _Validator(cast("dict[str, JsonValue]", canonical.parse(schema)))


def _words(error: _Error) -> str:
    deepest = cast("_Error", best_match(cast("list[ValidationError]", [error])))
    where = "/".join(str(part) for part in deepest.absolute_path) or "the value"
    return f"{where}: {_short(deepest.message)}"


def _short(message: str) -> str:
    # What is wrong stands at the end, after the value.
    return message if len(message) <= 300 else f"{message[:150]} … {message[-150:]}"
