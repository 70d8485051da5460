"""JSON Schema keywords that replace the library's own, which accept or cost too much.

Its patterns are Python's, which is another dialect and backtracks without bound; its
`uniqueItems` compares all pairs; its `anyOf` collects every error of every branch.
"""

import datetime as dt
import ipaddress
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from itertools import chain, islice
from typing import Any, Final, Protocol, cast
from uuid import UUID

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import (
    extend,  # pyright: ignore[reportUnknownVariableType] half typed upstream
)
from pydantic import AnyUrl, JsonValue, TypeAdapter
from referencing import Registry

from keyturn.orchestrator.rules.text import json_object
from keyturn.orchestrator.rules.text.pattern import is_found

Schema = Mapping[str, Any]
# This many faults of a branch are enough to explain what is wrong with it.
MOST_FAULTS = 20
_COMBINING = ("allOf", "anyOf", "oneOf")


class Validator(Protocol):
    """The part of jsonschema's half-typed validators that the keywords use."""

    def is_type(self, instance: object, type: str) -> bool:  # noqa: A002 jsonschema's name for it
        """Return whether a value is of that JSON type."""
        ...

    def is_valid(self, instance: object) -> bool:
        """Return whether a value is valid."""
        ...

    def evolve(self, *, schema: object) -> "Validator":
        """Return the same validator for another schema."""
        ...

    def descend(
        self,
        instance: object,
        schema: object,
        path: str | int | None = None,
        schema_path: str | int | None = None,
    ) -> Iterator[ValidationError]:
        """Return the errors of a part of the value."""
        ...

    def iter_errors(self, instance: object) -> Iterator[ValidationError]:
        """Return the errors of a value."""
        ...


Faults = Iterator[ValidationError]


def _pattern(_v: Validator, wanted: str, value: object, _: Schema) -> Faults:
    if isinstance(value, str) and not is_found(wanted, value):
        yield ValidationError(f"{value[:300]!r} does not match {wanted!r}")


def _pattern_properties(
    validator: Validator, wanted: Mapping[str, Any], value: object, _: Schema
) -> Faults:
    if not json_object.is_object(value):
        return
    for name, child in value.items():
        for pattern, schema in wanted.items():
            if is_found(pattern, name):
                yield from validator.descend(child, schema, name, pattern)


def _additional_properties(
    validator: Validator, rest: object, value: object, schema: Schema
) -> Faults:
    if not json_object.is_object(value):
        return
    extras = [name for name in value if not _is_named(name, schema)]
    if json_object.is_object(rest):
        for name in extras:
            yield from validator.descend(value[name], rest, name)
    elif rest is False and extras:
        yield ValidationError(
            f"Additional properties are not allowed: {_listed(extras)}"
        )


def _is_named(name: str, schema: Schema) -> bool:
    if name in schema.get("properties", {}):
        return True
    return any(is_found(one, name) for one in schema.get("patternProperties", {}))


def _unique_items(
    _validator: Validator, is_wanted: object, value: object, _: Schema
) -> Faults:
    if not is_wanted or not json_object.is_array(value):
        return
    seen: set[str] = set()
    for item in value:
        key = _identity(item)
        if key in seen:
            yield ValidationError(f"it holds {key[:200]} twice")
            return
        seen.add(key)


def _identity(value: JsonValue) -> str:
    """Return a text that equal JSON values share: 1.0 is 1, and true is neither."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: JsonValue) -> JsonValue:
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: _plain(child) for name, child in value.items()}
        case list():
            return [_plain(child) for child in value]
        case _:
            return value


def _any_of(
    validator: Validator, branches: list[object], value: object, _: Schema
) -> Faults:
    found: list[ValidationError] = []
    for index, branch in enumerate(branches):
        faults = list(_some(validator.descend(value, branch, schema_path=index)))
        if not faults:
            return
        found += faults
    yield ValidationError("it fits none of the given schemas", context=found)


def _one_of(
    validator: Validator, branches: list[object], value: object, schema: Schema
) -> Faults:
    fitting = [one for one in branches if validator.evolve(schema=one).is_valid(value)]
    if not fitting:
        yield from _any_of(validator, branches, value, schema)
    elif len(fitting) > 1:
        yield ValidationError(f"it fits {len(fitting)} of the given schemas, not one")


def _some(faults: Iterable[ValidationError]) -> Iterator[ValidationError]:
    return islice(faults, MOST_FAULTS)


def _contains(
    validator: Validator, wanted: object, value: object, schema: Schema
) -> Faults:
    if not json_object.is_array(value):
        return
    inner = validator.evolve(schema=wanted)
    fitting = sum(inner.is_valid(item) for item in value)
    least, most = schema.get("minContains", 1), schema.get("maxContains", len(value))
    if fitting < least:
        yield ValidationError(f"{fitting} items fit `contains`; at least {least} must")
    elif fitting > most:
        yield ValidationError(f"{fitting} items fit `contains`; at most {most} may")


def _unevaluated_properties(
    validator: Validator, rest: object, value: object, schema: Schema
) -> Faults:
    if not json_object.is_object(value):
        return
    seen = _evaluated(validator, value, schema)
    inner = validator.evolve(schema=rest)
    extras = [n for n, v in value.items() if n not in seen and not inner.is_valid(v)]
    if extras:
        yield ValidationError(
            f"Unevaluated properties are not allowed: {_listed(extras)}"
        )


def _evaluated(
    validator: Validator, value: dict[str, object], schema: object
) -> set[str]:
    """Return the names that `schema` evaluates, in any valid branch."""
    if not json_object.is_object(schema):
        return set()
    seen = {name for name in value if _is_named(name, schema)}
    for keyword in ("additionalProperties", "unevaluatedProperties"):
        if keyword in schema:
            inner = validator.evolve(schema=schema[keyword])
            seen |= {name for name in value if inner.is_valid(value[name])}
    for other, branch in _branches(validator, value, schema):
        seen |= _evaluated(other, value, branch)
    return seen


def _branches(
    validator: Validator, value: dict[str, object], schema: dict[str, Any]
) -> Iterator[tuple[Validator, object]]:
    """Return the schemas that apply to the same object, where it is valid."""
    for keyword in ("$ref", "$dynamicRef"):
        if keyword in schema:
            yield _referred(validator, schema[keyword])
    for name, branch in schema.get("dependentSchemas", {}).items():
        if name in value:
            yield validator, branch
    for branch in chain.from_iterable(schema.get(one, ()) for one in _COMBINING):
        if validator.evolve(schema=branch).is_valid(value):
            yield validator, branch
    for branch in _conditional(validator, value, schema):
        yield validator, branch


def _conditional(
    validator: Validator, value: object, schema: dict[str, Any]
) -> tuple[object, ...]:
    if "if" not in schema:
        return ()
    if validator.evolve(schema=schema["if"]).is_valid(value):
        return schema["if"], schema.get("then")
    return (schema.get("else"),)


def _referred(validator: Any, reference: str) -> tuple[Validator, object]:  # noqa: ANN401 its resolver has no public name
    # The library's own keywords read it too; no public name resolves within a scope.
    found = validator._resolver.lookup(reference)
    other = validator.evolve(schema=found.contents, _resolver=found.resolver)
    return other, found.contents


def _size(words: str, kind: type[Sized], *, is_least: bool) -> Callable[..., Faults]:
    def check(_v: Validator, bound: float, value: object, _: Schema) -> Faults:
        if not isinstance(value, kind):
            return
        size = len(value)
        if size < bound if is_least else size > bound:
            what = "too short: at least" if is_least else "too long: at most"
            yield ValidationError(f"it is {what} {bound:g} {words}, not {size}")

    return check


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name[:100]) for name in names[:10])
    return f"{shown} …" if len(names) > 10 else shown


KEYWORDS: Final[dict[str, Callable[..., Faults]]] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "unevaluatedProperties": _unevaluated_properties,
    "uniqueItems": _unique_items,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "contains": _contains,
    "minLength": _size("characters", str, is_least=True),
    "maxLength": _size("characters", str, is_least=False),
    "minItems": _size("items", list, is_least=True),
    "maxItems": _size("items", list, is_least=False),
    "minProperties": _size("properties", dict, is_least=True),
    "maxProperties": _size("properties", dict, is_least=False),
}


def _time(value: object) -> bool:
    """Return whether a text is a date with a time; digits alone are not."""
    return _is_date_and_time(value) and bool(dt.datetime.fromisoformat(str(value)))


def _is_date_and_time(value: object) -> bool:
    return is_found(r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d", str(value))


def _date(value: object) -> bool:
    is_long = is_found(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", str(value))
    return is_long and bool(dt.date.fromisoformat(str(value)))


def _daytime(value: object) -> bool:
    is_time = is_found(r"^[0-9]{2}:[0-9]{2}", str(value))
    return is_time and bool(dt.time.fromisoformat(str(value)))


def _duration(value: object) -> bool:
    is_iso = is_found(r"^[+-]?P", str(value)) and len(str(value)) < 100
    if is_iso:
        TypeAdapter(dt.timedelta).validate_python(value)
    return is_iso


def _email(value: object) -> bool:
    return is_found(r"^[^@\s]+@[^@\s]+$", str(value))


def _uuid(value: object) -> bool:
    return len(str(value)) == 36 and bool(UUID(str(value)))


def _uri(value: object) -> bool:
    return len(str(value)) < 8_000 and bool(TypeAdapter(AnyUrl).validate_python(value))


def _ipv4(value: object) -> bool:
    return bool(ipaddress.IPv4Address(str(value)))


def _ipv6(value: object) -> bool:
    return bool(ipaddress.IPv6Address(str(value)))


# The formats that pydantic writes for its own types; others are not checked.
FORMATS: Final[dict[str, Callable[[object], bool]]] = {
    "date-time": _time,
    "date": _date,
    "time": _daytime,
    "duration": _duration,
    "email": _email,
    "uuid": _uuid,
    "uri": _uri,
    "ipv4": _ipv4,
    "ipv6": _ipv6,
}


def _format_checker() -> FormatChecker:
    checker = FormatChecker(formats=())
    for name, fits in FORMATS.items():
        checker.checks(name, raises=ValueError)(_of_texts(fits))
    return checker


def _of_texts(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: not isinstance(value, str) or fits(value)


_Validating: Final = cast(
    "Callable[..., Validator]", extend(Draft202012Validator, KEYWORDS)
)
_FORMATS: Final = _format_checker()


def validator(schema: Mapping[str, JsonValue] | bool) -> Validator:  # noqa: FBT001 the schemas true and false are booleans
    """Return the validator of a schema; it reads no other document, local or remote."""
    nothing: Registry[Any] = Registry()
    return _Validating(schema, format_checker=_FORMATS, registry=nothing)
