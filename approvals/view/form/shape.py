"""The form fields of a JSON Schema."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import JsonValue

from keyturn.orchestrator.rules.contract.marks import PROSE_KEY

Kind = Literal[
    "text",
    "integer",
    "number",
    "boolean",
    "choice",
    "date",
    "money",
    "object",
    "list",
    "json",
]
# Below this depth values are edited as JSON.
DEEPEST = 6
# Longer texts get a larger editor.
SHORT_TEXT = 80


@dataclass(frozen=True)
class Shape:
    """One field of a form.

    `required`: its object must have it; `nullable`: it may be null; `prose`: it is
    wording and gets an editor.
    """

    kind: Kind
    name: str = ""
    label: str = ""
    help: str = ""
    required: bool = True
    nullable: bool = False
    prose: bool = False
    longest: int | None = None
    shortest: int = 0
    options: tuple[JsonValue, ...] = ()
    children: tuple["Shape", ...] = ()
    item: "Shape | None" = None

    @property
    def is_optional(self) -> bool:
        """Tell whether a person may omit the field or set it to null."""
        return not self.required or self.nullable


Schema = Mapping[str, JsonValue]


def of(schema: Schema) -> Shape:
    """Return the shape of a schema's value; the fallback is a JSON editor."""
    return _Reader(_objects(schema.get("$defs"))).shape(schema, depth=0)


def label(name: str) -> str:
    """Return a field's name as people write it: `order_id` is `Order id`."""
    words = name.replace("_", " ").replace("-", " ").strip()
    return words[:1].upper() + words[1:]


@dataclass(frozen=True)
class _Reader:
    definitions: Mapping[str, Schema]

    def shape(self, schema: Schema, *, depth: int) -> Shape:
        schema = self._resolved(schema)
        options = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(options, list):
            return self._union(schema, options, depth=depth)
        found = self._plain(schema, depth=depth)
        words = schema.get("description")
        return replace(found, help=words if isinstance(words, str) else found.help)

    def _plain(  # noqa: PLR0911 one branch a type
        self, schema: Schema, *, depth: int
    ) -> Shape:
        choice = _choice(schema)
        if choice is not None:
            return choice
        match schema.get("type"):
            case "string":
                return _string(schema)
            case "integer":
                return Shape("integer")
            case "number":
                return Shape("number")
            case "boolean":
                return Shape("boolean")
            case "array":
                return self._list(schema, depth=depth)
            case "object":
                return self._object(schema, depth=depth)
            case _:
                return Shape("json")

    def _union(self, schema: Schema, options: list[JsonValue], *, depth: int) -> Shape:
        """Return `X or null` as X that may be null; other unions as JSON."""
        real = [one for one in options if one != {"type": "null"}]
        if len(real) != 1 or not isinstance(real[0], dict):
            return Shape("json", help=_text(schema, "description"))
        outer = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf")}
        inner = self._resolved(real[0])
        found = self.shape({**inner, **outer}, depth=depth)
        return replace(found, nullable=found.nullable or len(real) < len(options))

    def _list(self, schema: Schema, *, depth: int) -> Shape:
        items = schema.get("items")
        if not isinstance(items, dict) or "prefixItems" in schema or depth >= DEEPEST:
            return Shape("json")
        return Shape("list", item=self.shape(items, depth=depth + 1))

    def _object(self, schema: Schema, *, depth: int) -> Shape:
        properties = _objects(schema.get("properties"))
        if not properties or schema.get("additionalProperties") not in (None, False):
            return Shape("json")
        if _is_money(properties):
            return Shape("money")
        if depth >= DEEPEST:
            return Shape("json")
        required = schema.get("required")
        must = required if isinstance(required, list) else []
        return Shape(
            "object",
            children=tuple(
                replace(
                    self.shape(child, depth=depth + 1),
                    name=name,
                    label=_label(name, child),
                    required=name in must,
                )
                for name, child in properties.items()
            ),
        )

    def _resolved(self, schema: Schema) -> Schema:
        """Follow `$ref` into `$defs`; words beside the reference win."""
        for _ in range(DEEPEST):
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                return schema
            beside = {name: value for name, value in schema.items() if name != "$ref"}
            target = self.definitions.get(reference.removeprefix("#/$defs/"), {})
            schema = {**target, **beside}
        return {}


def _string(schema: Schema) -> Shape:
    if schema.get("format") == "date":
        return Shape("date")
    longest, shortest = schema.get("maxLength"), schema.get("minLength")
    return Shape(
        "text",
        prose=schema.get(PROSE_KEY) is True,
        longest=longest if isinstance(longest, int) else None,
        shortest=shortest if isinstance(shortest, int) else 0,
    )


def _choice(schema: Schema) -> Shape | None:
    if "const" in schema:
        return Shape("choice", options=(schema["const"],))
    options = schema.get("enum")
    return (
        Shape("choice", options=tuple(options)) if isinstance(options, list) else None
    )


def _is_money(properties: Mapping[str, Schema]) -> bool:
    return (
        set(properties) == {"amount", "currency"}
        and properties["amount"].get("type") == "integer"
        and properties["currency"].get("type") == "string"
    )


def _objects(value: JsonValue) -> dict[str, Schema]:
    """Return the members that are schemas themselves."""
    if not isinstance(value, dict):
        return {}
    return {name: child for name, child in value.items() if isinstance(child, dict)}


def _label(name: str, schema: Schema) -> str:
    title = _text(schema, "title")
    # pydantic's generated title adds nothing to the name.
    made = name.replace("_", " ").title()
    return title if title and title != made else label(name)


def _text(schema: Schema, key: str) -> str:
    value = schema.get(key)
    return value if isinstance(value, str) else ""
