"""The smallest value that a JSON Schema allows, for the supported keywords."""

from pydantic import JsonValue

from keyturn.activities.llm.wire.body import as_list, as_object, as_text

SCRIPTED = "scripted reply"
_LARGEST_DEPTH = 20

_FORMATS = {
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "PT0S",
    "email": "scripted@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def minimal(schema: JsonValue) -> JsonValue:
    """Return a value that fits `schema`: only required parts, the shortest of each.

    Not supported: patterns, `not`, `if`, and conflicts within `allOf`.
    """
    return _value(as_object(schema), as_object(schema), 0)


def _value(
    schema: dict[str, JsonValue], whole: dict[str, JsonValue], depth: int
) -> JsonValue:
    if depth > _LARGEST_DEPTH:
        return None
    schema = _resolved(schema, whole, depth)
    given = [schema[key] for key in ("const", "default") if key in schema]
    if given := given + as_list(schema.get("enum")):
        return given[0]
    if chosen := _first_choice(schema):
        return _value({**_without_choices(schema), **chosen}, whole, depth + 1)
    match _type(schema):
        case "object":
            return _object(schema, whole, depth)
        case "array":
            return _array(schema, whole, depth)
        case kind:
            return _scalar(kind, schema)


def _scalar(kind: str, schema: dict[str, JsonValue]) -> JsonValue:
    match kind:
        case "string":
            return _string(schema)
        case "integer" | "number":
            return _least(schema)
        case "boolean":
            return False
        case _:
            return None


def _resolved(
    schema: dict[str, JsonValue], whole: dict[str, JsonValue], depth: int
) -> dict[str, JsonValue]:
    """Follow `$ref` and merge `allOf`."""
    for _ in range(_LARGEST_DEPTH):
        reference = as_text(schema.get("$ref"))
        if not reference:
            break
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        schema = _target(reference, whole) | rest
    if depth > _LARGEST_DEPTH:
        return schema
    for part in map(as_object, as_list(schema.get("allOf"))):
        schema = _merged(schema, _resolved(part, whole, depth + 1))
    return schema


def _target(reference: str, whole: dict[str, JsonValue]) -> dict[str, JsonValue]:
    node: JsonValue = whole
    for part in reference.removeprefix("#").split("/")[1:]:
        node = as_object(node).get(part.replace("~1", "/").replace("~0", "~"))
    return as_object(node)


def _merged(
    schema: dict[str, JsonValue], part: dict[str, JsonValue]
) -> dict[str, JsonValue]:
    merged = {key: v for key, v in (schema | part).items() if key != "allOf"}
    properties = [as_object(one.get("properties")) for one in (schema, part)]
    required = [as_list(one.get("required")) for one in (schema, part)]
    if any(properties):
        both: dict[str, JsonValue] = {**properties[0], **properties[1]}
        merged["properties"] = both
        merged["required"] = required[0] + required[1]
    return merged


def _first_choice(schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
    choices = as_list(schema.get("anyOf")) or as_list(schema.get("oneOf"))
    return as_object(choices[0]) if choices else {}


def _without_choices(schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {key: v for key, v in schema.items() if key not in ("anyOf", "oneOf")}


def _type(schema: dict[str, JsonValue]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    if isinstance(kind, str):
        return kind
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema else "string"


def _array(
    schema: dict[str, JsonValue], whole: dict[str, JsonValue], depth: int
) -> JsonValue:
    item = as_object(schema.get("items"))
    count = int(_number(schema, "minItems"))
    return [_value(item, whole, depth + 1) for _ in range(count)]


def _object(
    schema: dict[str, JsonValue], whole: dict[str, JsonValue], depth: int
) -> JsonValue:
    properties = as_object(schema.get("properties"))
    required = [
        name for name in as_list(schema.get("required")) if isinstance(name, str)
    ]
    return {
        name: _value(as_object(properties.get(name)), whole, depth + 1)
        for name in required
    }


def _string(schema: dict[str, JsonValue]) -> str:
    text = _FORMATS.get(as_text(schema.get("format")), SCRIPTED)
    text = text.ljust(int(_number(schema, "minLength")), ".")
    longest = schema.get("maxLength")
    return text[:longest] if isinstance(longest, int) else text


def _least(schema: dict[str, JsonValue]) -> JsonValue:
    whole = _type(schema) == "integer"
    step = _number(schema, "multipleOf") or 1
    least = _number(schema, "minimum")
    above = schema.get("exclusiveMinimum")
    if isinstance(above, int | float):
        least = max(least, above + step)
    most = schema.get("maximum")
    if "minimum" not in schema and isinstance(most, int | float):
        least = min(least, most)
    least = -(-least // step) * step
    return int(least) if whole or least == int(least) else least


def _number(schema: dict[str, JsonValue], key: str) -> float:
    value = schema.get(key)
    return value if isinstance(value, int | float) else 0
