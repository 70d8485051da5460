"""What a model never sees is dropped before a prompt is built."""

from collections.abc import Collection, Mapping

from pydantic import JsonValue

from orchestrator.tool import DATA_CLASS_KEY

VERSION = "fields-1"

Schema = Mapping[str, JsonValue]


def drop(value: JsonValue, schema: Schema, never_sees: Collection[str]) -> JsonValue:
    """Return `value` without the fields whose data class is in `never_sees`.

    Walks the JSON Schema that pydantic writes: `$ref`, `anyOf`, `oneOf`, `allOf`,
    `properties`, `additionalProperties`, `items` and `prefixItems`. A field is dropped
    where any reading of its schema marks it.
    """
    if not never_sees:
        return value
    return _Walk(root=schema, never=frozenset(never_sees)).strip(value, schema)


class _Walk:
    def __init__(self, *, root: Schema, never: frozenset[str]) -> None:
        self._root = root
        self._never = never

    def strip(self, value: JsonValue, schema: Schema) -> JsonValue:
        readings = self._readings(schema)
        if isinstance(value, dict):
            return self._strip_object(value, readings)
        if isinstance(value, list):
            return self._strip_list(value, readings)
        return value

    def _strip_object(
        self, value: dict[str, JsonValue], readings: list[Schema]
    ) -> JsonValue:
        kept: dict[str, JsonValue] = {}
        for name, child in value.items():
            schemas = [s for r in readings if (s := _property(r, name)) is not None]
            if any(self._is_forbidden(schema) for schema in schemas):
                continue
            for schema in schemas:
                child = self.strip(child, schema)  # noqa: PLW2901 each reading strips further
            kept[name] = child
        return kept

    def _strip_list(self, value: list[JsonValue], readings: list[Schema]) -> JsonValue:
        kept: list[JsonValue] = []
        for index, child in enumerate(value):
            schemas = [s for r in readings if (s := _item(r, index)) is not None]
            if any(self._is_forbidden(schema) for schema in schemas):
                continue
            for schema in schemas:
                child = self.strip(child, schema)  # noqa: PLW2901 each reading strips further
            kept.append(child)
        return kept

    def _is_forbidden(self, schema: Schema) -> bool:
        return any(r.get(DATA_CLASS_KEY) in self._never for r in self._readings(schema))

    def _readings(
        self, schema: Schema, seen: frozenset[str] = frozenset()
    ) -> list[Schema]:
        """Return the schema and all that it refers to or combines."""
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
        for part in reference.removeprefix("#/").split("/"):
            node = node.get(part) if isinstance(node, dict) else None
        return _schema(node)


def _property(schema: Schema, name: str) -> Schema | None:
    properties = schema.get("properties")
    if isinstance(properties, dict) and name in properties:
        return _schema(properties[name])
    rest = schema.get("additionalProperties")
    return _schema(rest) if isinstance(rest, dict) else None


def _item(schema: Schema, index: int) -> Schema | None:
    prefix = schema.get("prefixItems")
    if isinstance(prefix, list) and index < len(prefix):
        return _schema(prefix[index])
    items = schema.get("items")
    return _schema(items) if isinstance(items, dict) else None


def _schema(value: JsonValue) -> Schema:
    return value if isinstance(value, dict) else {}
