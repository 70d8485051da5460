"""Checks values against JSON Schema; a provider's promises are not relied on."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Protocol, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import (
    SchemaError,
    ValidationError,
    best_match,  # pyright: ignore[reportUnknownVariableType] half typed upstream
)
from pydantic import JsonValue
from referencing.exceptions import Unresolvable

from keyturn.orchestrator.rules.errors import InvalidValue
from keyturn.orchestrator.rules.text.pattern import InvalidPattern, compiled
from keyturn.orchestrator.rules.text.schema_keywords import Validator, validator

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Checking a larger value takes longer than an event loop may be blocked.
MOST_AT_ONCE = 500
MOST_ARGUMENTS = 2_000
TEXT_PER_VALUE = 64
# More messages do not help, and a value of a megabyte has a hundred thousand faults.
MOST_TOLD = 5


class InvalidSchema(ValueError):
    """A schema that cannot be checked as intended; the message says what to write."""


Schema = Mapping[str, JsonValue] | bool


def check(value: JsonValue, schema: Schema) -> None:
    """Raise `InvalidValue`, in words a model or a person can use, where it misfits.

    On an event loop use `check_aside` for data received from others.
    """
    fitted = _validator(json.dumps(schema, sort_keys=True))
    try:
        faults = list(islice(fitted.iter_errors(value), MOST_TOLD))
    except RecursionError:
        raise InvalidValue(
            "the value or its schema is nested too deep to be checked; flatten it"
        ) from None
    except Unresolvable as error:
        raise InvalidValue(f"the schema refers to what it has not: {error}") from None
    except InvalidPattern as error:
        raise InvalidValue(str(error)) from None
    if faults:
        raise InvalidValue("; ".join(_words(one) for one in faults))


def check_arguments(value: dict[str, JsonValue], schema: Schema) -> None:
    """Do the same as `check` for a call's arguments, which have bounds of their own.

    They are read by people, compared, bound and judged within transactions.
    """
    if not _has_at_most(value, MOST_ARGUMENTS):
        raise InvalidValue(
            f"the arguments hold more than {MOST_ARGUMENTS:,} values or "
            f"{MOST_ARGUMENTS * TEXT_PER_VALUE:,} characters; do it in smaller parts"
        )
    check(value, schema)


async def check_aside(value: JsonValue, schema: Schema) -> None:
    """Do the same as `check`, without blocking the event loop for a large value."""
    if is_small(value):
        check(value, schema)
    else:
        await asyncio.to_thread(check, value, schema)


def is_small(value: JsonValue) -> bool:
    """Return whether a value is checked and written in a few milliseconds."""
    return _has_at_most(value, MOST_AT_ONCE)


def _has_at_most(value: JsonValue, most: int) -> bool:
    """Return it after looking at no more than `most` values; a long text is several."""
    left, waiting = most, [value]
    while waiting and left >= 0:
        node = waiting.pop()
        left -= 1
        if isinstance(node, str):
            left -= len(node) // TEXT_PER_VALUE
        elif isinstance(node, list | dict) and len(node) <= left:
            waiting += node.values() if isinstance(node, dict) else node
        elif isinstance(node, list | dict):
            return False
    return left >= 0


def check_declared(schema: Mapping[str, JsonValue], *, where: str) -> None:
    """Raise `InvalidSchema` for faults that would otherwise appear with a value.

    Every pattern is compiled, each reference stays within the schema, and the dialect
    is 2020-12. `where` begins the sentence.
    """
    for path, node in _nodes(dict(schema), ()):
        _check_node(node, where=f"{where}, {'.'.join(path) or 'itself'}")
    try:
        Draft202012Validator.check_schema(dict(schema))  # pyright: ignore[reportUnknownMemberType] half typed upstream
    except SchemaError as error:
        raise InvalidSchema(
            f"{where}: its schema is not valid JSON Schema 2020-12: "
            f"{_short(str(error.message))}. Correct json_schema_extra or the type that "
            "writes it."
        ) from None


def _check_node(node: Mapping[str, JsonValue], *, where: str) -> None:
    dialect = node.get("$schema", DIALECT)
    if dialect != DIALECT:
        raise InvalidSchema(
            f"{where}: its schema is in the dialect {dialect!r}; write 2020-12."
        )
    _check_reference(node, where=where)
    patterns = node.get("patternProperties")
    wanted = list(patterns) if isinstance(patterns, dict) else []
    own = node.get("pattern")
    for one in [*wanted, *([own] if isinstance(own, str) else [])]:
        try:
            compiled(one)
        except InvalidPattern as error:
            raise InvalidSchema(f"{where}: {error}") from None


def _check_reference(node: Mapping[str, JsonValue], *, where: str) -> None:
    for keyword in ("$ref", "$dynamicRef"):
        target = node.get(keyword)
        if isinstance(target, str) and not target.startswith("#"):
            raise InvalidSchema(
                f"{where}: it refers to another document, {target!r}, which is never "
                "fetched. Write the type into the model."
            )


def _nodes(
    node: JsonValue, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], dict[str, JsonValue]]]:
    """Return each object of a schema under the names of the fields that lead to it."""
    if isinstance(node, list):
        for child in node:
            yield from _nodes(child, path)
    if isinstance(node, dict):
        yield path, node
        for name, child in node.items():
            if name in ("properties", "$defs") and isinstance(child, dict):
                for field, schema in child.items():
                    yield from _nodes(schema, (*path, field))
            elif name not in ("const", "default", "enum", "examples"):
                yield from _nodes(child, path)


class _Error(Protocol):
    """The part of jsonschema's half-typed errors that is read."""

    message: str
    absolute_path: Iterable[str | int]
    context: list["_Error"]


@lru_cache(maxsize=512)
def _validator(schema: str) -> Validator:
    return validator(json.loads(schema))


def _words(error: ValidationError) -> str:
    deepest: _Error = cast("Any", best_match([error]))
    where = "/".join(str(part) for part in deepest.absolute_path) or "the value"
    return f"{_short(where)}: {_short(deepest.message)}"


def _short(message: str) -> str:
    # The reason is at the end, after the value.
    return message if len(message) <= 300 else f"{message[:150]} … {message[-150:]}"
