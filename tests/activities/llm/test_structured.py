"""Strict mode is asked for only where OpenAI takes the schema as it is."""

import pytest
from pydantic import BaseModel, ConfigDict, JsonValue

from keyturn.activities.llm.wire.structured import is_strict


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    words: list[str]
    inner: "Inner | None"


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    amount: int


class WithDefault(BaseModel):
    model_config = ConfigDict(extra="forbid")

    amount: int = 1


class Open(BaseModel):
    amount: int


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (Closed.model_json_schema(), True),
        (WithDefault.model_json_schema(), False),
        (Open.model_json_schema(), False),
        ({"type": "string"}, False),
        ({"type": "object", "additionalProperties": False}, True),
        ({"type": "object", "additionalProperties": {"type": "string"}}, False),
        (
            {
                "type": "object",
                "additionalProperties": False,
                "properties": {"a": {"type": "object"}},
                "required": ["a"],
            },
            False,
        ),
    ],
    ids=["closed", "default", "open", "no object", "empty", "map", "open inside"],
)
def test_strict_schemas_are_told_apart(schema: dict[str, JsonValue], *, strict: bool):
    assert is_strict(schema) is strict
