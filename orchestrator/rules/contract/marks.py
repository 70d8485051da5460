"""Marks a text as wording: an author's edit of it alone is their own approval (P10)."""

from dataclasses import dataclass

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

PROSE_KEY = "x-prose"


@dataclass(frozen=True)
class Prose:
    """Marks a field as wording: `Annotated[str, Prose()]`; pages give it an editor."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the field's schema with the mark."""
        return {**handler(schema), PROSE_KEY: True}
