"""Structured output where a provider's own mode is unavailable."""

import json
import re

from pydantic import JsonValue

from keyturn.activities.llm.wire.body import as_list, as_object

# The keywords of OpenAI's strict mode (its guide to structured outputs, 2025-08).
_STRICT_KEYWORDS = {
    *("type", "properties", "required", "additionalProperties", "items", "enum"),
    *("const", "anyOf", "$ref", "$defs", "title", "description", "pattern", "format"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minItems", "maxItems"),
}
_ABOUT_STRUCTURE = re.compile(
    r"response_format|output_config|output_format|schema|structured|json", re.IGNORECASE
)


def is_strict(schema: dict[str, JsonValue]) -> bool:
    """Return whether OpenAI's strict mode accepts the schema unchanged."""
    return schema.get("type") == "object" and _is_strict_part(schema)


def complains_of_structure(words: str) -> bool:
    """Return whether a rejection is about the structured-output mode or its schema."""
    return _ABOUT_STRUCTURE.search(words) is not None


def with_schema(system: str, schema: dict[str, JsonValue]) -> str:
    """Return the system text with the schema in words, for a model without the mode."""
    return (
        f"{system}\n\nWhen you are done, answer with one JSON document and nothing "
        f"else, valid under this JSON Schema:\n{json.dumps(schema)}"
    )


def _is_strict_part(schema: JsonValue) -> bool:
    if not isinstance(schema, dict) or not schema.keys() <= _STRICT_KEYWORDS:
        return False
    return _is_strict_object(schema) and all(map(_is_strict_part, _parts(schema)))


def _is_strict_object(schema: dict[str, JsonValue]) -> bool:
    if schema.get("type") != "object" and "properties" not in schema:
        return True
    named = set(as_object(schema.get("properties")))
    required = {name for name in as_list(schema.get("required")) if name in named}
    return schema.get("additionalProperties") is False and required == named


def _parts(schema: dict[str, JsonValue]) -> list[JsonValue]:
    return [
        *as_object(schema.get("properties")).values(),
        *as_object(schema.get("$defs")).values(),
        *as_list(schema.get("anyOf")),
        *([schema["items"]] if "items" in schema else []),
    ]
