"""The law of forms, over generated schemas: what is shown comes back as it was."""

from datetime import date
from typing import Any, cast

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from keyturn.approvals.view.form import fill, read, shape, view
from keyturn.orchestrator.rules.text import canonical, json_object, schema
from tests.approvals.view.test_forms import MONEY, TEXT, WHOLE, sent, through_a_browser

Schema = dict[str, JsonValue]
# A schema, with a strategy of the values that fit it.
Drawn = tuple[Schema, Any]

NAMES = st.text(alphabet=st.sampled_from("abz_-~/ .é0"), min_size=1, max_size=6)
MONEY_SCHEMA: Schema = {
    "type": "object",
    "properties": {"amount": {"type": "integer"}, "currency": {"type": "string"}},
    "required": ["amount", "currency"],
    "additionalProperties": False,
}
LEAVES: list[Drawn] = [
    ({"type": "string"}, TEXT),
    ({"type": "string", "x-prose": True}, TEXT),
    ({"type": "string", "format": "date"}, st.dates().map(date.isoformat)),
    ({"type": "integer"}, WHOLE),
    ({"type": "number"}, WHOLE | st.floats(min_value=-1e15, max_value=1e15)),
    ({"type": "boolean"}, st.booleans()),
    ({"enum": ["a", 1, True, None, "1", "true", ""]}, None),
    ({"const": "only"}, st.just("only")),
    ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, WHOLE | TEXT),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, None),
    (MONEY_SCHEMA, MONEY),
]
LEAVES[6] = (LEAVES[6][0], st.sampled_from(cast("list[Any]", LEAVES[6][0]["enum"])))
LEAVES[9] = (LEAVES[9][0], st.dictionaries(TEXT, WHOLE, max_size=3))


def _list_of(inner: Drawn) -> Drawn:
    return {"type": "array", "items": inner[0]}, st.lists(inner[1], max_size=3)


def _or_null(inner: Drawn) -> Drawn:
    return {"anyOf": [inner[0], {"type": "null"}]}, inner[1] | st.none()


@st.composite
def _object_of(draw: st.DrawFn, inner: st.SearchStrategy[Drawn]) -> Drawn:
    members = draw(st.dictionaries(NAMES, inner, min_size=1, max_size=4))
    must = draw(st.sets(st.sampled_from(sorted(members))))
    found: Schema = {
        "type": "object",
        "properties": {name: one[0] for name, one in members.items()},
        "required": [*sorted(must)],
    }
    values = st.fixed_dictionaries(
        {name: one[1] for name, one in members.items() if name in must},
        optional={name: one[1] for name, one in members.items() if name not in must},
    )
    return found, values


ANY: st.SearchStrategy[Drawn] = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: inner.map(_list_of) | inner.map(_or_null) | _object_of(inner),
    max_leaves=6,
)
CASES = _object_of(ANY).flatmap(lambda one: st.tuples(st.just(one[0]), one[1]))


# Null is a value of its own here, and one that may also be left out.
NULL_OPTION: Drawn = (
    {
        "type": "object",
        "properties": {"a": {"enum": ["x", None]}, "b": {}},
        "required": [],
    },
    {"a": None, "b": None},
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@example(NULL_OPTION)
@given(CASES)
def test_every_value_of_every_schema_survives_its_form(
    case: tuple[Schema, dict[str, JsonValue]],
) -> None:
    wanted, drawn = case
    value = json_object.parse(canonical.encode(drawn))
    schema.check(value, wanted)
    asked = shape.of(wanted)

    page = view.view(asked, fill.fill(asked, value))
    found = read.read(asked, through_a_browser(sent(page)), shown=value)

    if asked.kind != "object":
        return
    assert found.errors == {}
    assert canonical.encode(found.value) == canonical.encode(value)
