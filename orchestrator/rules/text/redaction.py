"""Drops data that a model must never see, or that is undeclared, before showing it."""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from pydantic import JsonValue

from keyturn.orchestrator.rules.contract.tool import DATA_CLASS_KEY
from keyturn.orchestrator.rules.text.pattern import is_found

VERSION = "fields-2"

Schema = Mapping[str, JsonValue]

# Keywords whose effect on a value is not evaluated here; check_followed refuses them.
_NOT_FOLLOWED: Final = (
    "$anchor",
    "$dynamicRef",
    "$id",
    "contains",
    "else",
    "if",
    "not",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
)
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int, float),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


class NotFollowed(ValueError):
    """A part of a schema whose data cannot be determined; the message names it."""


def drop(value: JsonValue, schema: Schema, never_sees: Collection[str]) -> JsonValue:
    """Return the part of `value` that `schema` declares, without `never_sees` classes.

    Walks the JSON Schema that pydantic writes. A field is dropped where no reading of
    its schema names it, and where any reading marks it. Where a class is never seen, a
    value without a type, or of an undeclared type, is dropped too: its data is unknown.
    """
    return _Walk(root=schema, never=frozenset(never_sees)).strip(value, [schema])


def marks(schema: JsonValue) -> frozenset[str]:
    """Return the data classes that any field of a schema is marked with."""
    found: set[str] = set()
    for node in _nodes(schema):
        found |= _marked(node)
    return frozenset(found)


def check_followed(schema: Schema, never_sees: Collection[str]) -> None:
    """Raise `NotFollowed` for a part whose data `drop` cannot determine."""
    walk = _Walk(root=schema, never=frozenset(never_sees))
    walk.check(schema, path=(), seen=frozenset())


class _Walk:
    def __init__(self, *, root: Schema, never: frozenset[str]) -> None:
        self._root = root
        self._never = never

    def strip(self, value: JsonValue, schemas: list[Schema]) -> JsonValue:
        """Return `value` as the schemas declare it; all of them apply to it."""
        readings = [one for schema in schemas for one in self._readings(schema)]
        if isinstance(value, dict):
            return {
                name: self.strip(child, inner)
                for name, child in value.items()
                if self._is_kept(child, inner := self._named(readings, name))
            }
        if isinstance(value, list):
            return [
                self.strip(child, inner)
                for index, child in enumerate(value)
                if self._is_kept(child, inner := _items(readings, index))
            ]
        return value

    def _named(self, readings: list[Schema], name: str) -> list[Schema]:
        """Return the schemas for a name; nothing where one of them is marked."""
        for reading in readings:
            names = reading.get("propertyNames")
            if isinstance(names, dict) and self._is_forbidden(names):
                return []
        return [one for reading in readings for one in _properties(reading, name)]

    def _is_kept(self, value: JsonValue, schemas: list[Schema]) -> bool:
        if not schemas or any(self._is_forbidden(one) for one in schemas):
            return False
        return not self._never or any(self._fits(value, one) for one in schemas)

    def _is_forbidden(self, schema: Schema) -> bool:
        return any(_marked(one) & self._never for one in self._readings(schema))

    def _fits(self, value: JsonValue, schema: Schema) -> bool:
        """Return whether a value has a declared type: a serializer may change it."""
        types = [kind for one in self._readings(schema) for kind in _types(one)]
        return any(_is_of(value, kind) for kind in types)

    def _readings(
        self, schema: Schema, seen: frozenset[str] = frozenset()
    ) -> list[Schema]:
        """Return the schema and all schemas that it refers to or combines."""
        found: list[Schema] = [schema]
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in seen:
            target = self._resolve(reference)
            found += self._readings(target, seen | {reference})
        for keyword in ("anyOf", "oneOf", "allOf"):
            branches = schema.get(keyword)
            for branch in branches if isinstance(branches, list) else []:
                found += self._readings(_schema(branch), seen)
        return found

    def _resolve(self, reference: str) -> Schema:
        node: JsonValue = dict(self._root)
        for part in reference.removeprefix("#").strip("/").split("/"):
            # RFC 6901, in which `~1` is the slash of a generic model's name.
            name = part.replace("~1", "/").replace("~0", "~")
            node = node.get(name) if isinstance(node, dict) and part else node
        return _schema(node)

    def check(
        self, schema: Schema, *, path: tuple[str, ...], seen: frozenset[str]
    ) -> None:
        where = ".".join(path) or "it"
        readings = self._readings(schema)
        if any(_marked(one) & self._never for one in readings):
            return
        for keyword in _NOT_FOLLOWED:
            if any(keyword in one for one in readings):
                raise NotFollowed(
                    f"{where} is declared with {keyword!r}, which cannot be checked for "
                    "excluded data; write a model, a list or a union instead"
                )
        if not any(_types(one) for one in readings):
            raise NotFollowed(
                f"{where} has no specific type (it is Any, object or JsonValue); write "
                "its type, or mark it with a DataClass that the contract never sees"
            )
        reference = schema.get("$ref")
        if isinstance(reference, str):
            if reference in seen:
                return
            seen |= {reference}
        for name, child in _children(readings):
            self.check(child, path=(*path, name) if name else path, seen=seen)


def _children(readings: list[Schema]) -> Iterator[tuple[str, Schema]]:
    for reading in readings:
        named = reading.get("properties")
        for name, child in named.items() if isinstance(named, dict) else ():
            yield name, _schema(child)
        patterns = reading.get("patternProperties")
        for child in patterns.values() if isinstance(patterns, dict) else ():
            yield "[…]", _schema(child)
        rest = reading.get("additionalProperties")
        if isinstance(rest, dict) or (rest is True and named is None):
            yield "[…]", _schema(rest)
        for keyword in ("items", "prefixItems"):
            inner = reading.get(keyword)
            for child in inner if isinstance(inner, list) else [inner]:
                if child is not None and child is not False:
                    yield "[…]", _schema(child)


def _properties(schema: Schema, name: str) -> list[Schema]:
    """Return a reading's schemas for a name; none where extras are merely allowed."""
    named = schema.get("properties")
    properties = named if isinstance(named, dict) else {}
    found = [_schema(properties[name])] if name in properties else []
    patterns = schema.get("patternProperties")
    for pattern, inner in patterns.items() if isinstance(patterns, dict) else ():
        if is_found(pattern, name):
            found.append(_schema(inner))
    if found:
        return found
    rest = schema.get("additionalProperties")
    if isinstance(rest, dict):
        return [rest]
    # `dict[str, Any]` declares all that it holds, `extra="allow"` declares nothing.
    is_free = named is None and patterns is None and rest is not False
    is_object = schema.get("type") == "object" or not set(schema) - _WORDS_ONLY
    return [{}] if is_free and is_object else []


_WORDS_ONLY: Final = frozenset({"title", "description", "default", "examples"})


def _items(readings: list[Schema], index: int) -> list[Schema]:
    found: list[Schema] = []
    for reading in readings:
        prefix = reading.get("prefixItems")
        if isinstance(prefix, list) and index < len(prefix):
            found.append(_schema(prefix[index]))
        elif isinstance(inner := reading.get("items"), dict):
            found.append(inner)
        elif reading.get("type") == "array" or not set(reading) - _WORDS_ONLY:
            found.append({})
    return found


def _marked(schema: Schema) -> frozenset[str]:
    """Return a schema's data classes: one is a text, several are a list."""
    given = schema.get(DATA_CLASS_KEY)
    names = given if isinstance(given, list) else [given]
    return frozenset(name for name in names if isinstance(name, str))


def _types(schema: Schema) -> list[str]:
    """Return the JSON types that a reading itself declares."""
    given = schema.get("type")
    if isinstance(given, str):
        return [given]
    if isinstance(given, list):
        return [one for one in given if isinstance(one, str)]
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    known = values if isinstance(values, list) else []
    return [kind for value in known for kind in _TYPES if _is_of(value, kind)]


def _is_of(value: JsonValue, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return type(value) in _TYPES.get(kind, ())


def _schema(value: JsonValue) -> Schema:
    return value if isinstance(value, dict) else {}


def _nodes(value: JsonValue) -> Iterator[dict[str, JsonValue]]:
    if isinstance(value, dict):
        yield value
        for child in value.values():
            yield from _nodes(child)
    elif isinstance(value, list):
        for child in value:
            yield from _nodes(child)
