"""Values against JSON Schema 2020-12, by the official suite where setup fetched it."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyturn.orchestrator.rules.errors import InvalidValue, MalformedJson
from keyturn.orchestrator.rules.text import canonical, schema
from keyturn.orchestrator.rules.text.schema import InvalidSchema

SUITE = Path(sys.prefix, "share", "json-schema-test-suite", "tests", "draft2020-12")


def required() -> Iterator[Any]:
    for path in sorted(SUITE.glob("*.json")):
        for group in json.loads(path.read_text()):
            for case in group["tests"]:
                name = f"{path.stem}: {group['description']}: {case['description']}"
                yield group["schema"], case, name


def is_refused_on_purpose(wanted: Any, case: Any) -> bool:
    """Other documents and formats; docs/reference/contract.md says why."""
    about_formats = "only an annotation" in case["description"]
    return about_formats or "localhost:1234" in json.dumps(wanted)


def fits(value: Any, wanted: Any) -> bool:
    try:
        schema.check(value, wanted)
    except InvalidValue:
        return False
    return True


def test_official_suite_holds_but_for_what_is_refused_on_purpose() -> None:
    if not SUITE.is_dir():
        if os.environ.get("CI"):
            pytest.fail("no JSON Schema test suite: run `make setup` with a network")
        pytest.skip("no JSON Schema test suite: run `make setup` with a network")
    cases = list(required())
    wrong = [
        name
        for wanted, case, name in cases
        if fits(case["data"], wanted) != case["valid"]
        and not is_refused_on_purpose(wanted, case)
    ]

    assert len(cases) >= 1257
    assert wrong == []


@pytest.mark.parametrize("target", ["http://127.0.0.1:9/a", "file:///etc/passwd"])
def test_reference_to_another_document_is_never_fetched(target: str) -> None:
    with pytest.raises(InvalidValue, match="refers to what it has not"):
        schema.check({}, {"$ref": target})
    with pytest.raises(InvalidSchema, match="another document"):
        schema.check_declared({"$ref": target}, where="contracts.py:1")


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("date-time", "2026-11-25T18:00:00Z", "1764093600"),
        ("date", "2026-11-25", "2026-13-25"),
        ("time", "18:00:00", "18"),
        ("duration", "PT4H", "4 hours"),
        ("email", "a@b.example", "a at b"),
        ("uuid", "12345678-1234-5678-1234-567812345678", "1234"),
        ("uri", "https://a.example/", "no uri"),
        ("ipv4", "192.0.2.1", "192.0.2.256"),
        ("ipv6", "2001:db8::1", "2001:::1"),
    ],
)
def test_formats_of_pydantic_s_types_are_checked(
    kind: str, good: str, bad: str
) -> None:
    wanted: dict[str, Any] = {"type": "string", "format": kind}

    assert fits(good, wanted)
    assert not fits(bad, wanted)


def test_one_and_true_and_one_point_nought_are_told_apart_as_json_does() -> None:
    wanted: dict[str, Any] = {"uniqueItems": True}

    assert fits([1, True, "1", [1], {"a": 1}], wanted)
    assert not fits([{"a": [1, 2]}, {"a": [1.0, 2]}], wanted)


def test_pattern_is_refused_at_load_with_its_field() -> None:
    declared: dict[str, Any] = {
        "properties": {"name": {"type": "string", "pattern": "(?=a)"}}
    }

    with pytest.raises(InvalidSchema, match=r"contracts.py:1, name: the pattern"):
        schema.check_declared(declared, where="contracts.py:1")


@pytest.mark.parametrize(
    "text",
    ["[" + "1," * 200_001 + "1]", "[" + "[]," * 200_001 + "1]", '["",' * 200_001],
    ids=["numbers", "lists", "texts"],
)
def test_more_values_than_anybody_means_are_refused_before_they_are_made(
    text: str,
) -> None:
    with pytest.raises(MalformedJson, match="more than 200,000 values"):
        canonical.parse(text)


def test_commas_within_texts_are_no_values() -> None:
    text = json.dumps({"t": 'a,\\"[{' * 100_000})

    assert canonical.parse(text) == json.loads(text)


def test_arguments_have_bounds_of_their_own() -> None:
    with pytest.raises(InvalidValue, match="smaller parts"):
        schema.check_arguments({"a": [*range(2_001)]}, {})
