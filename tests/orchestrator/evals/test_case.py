"""Suites are read strictly, and what is wrong is named."""

import json
from pathlib import Path

import pytest

from keyturn.orchestrator.evals import case
from keyturn.orchestrator.evals.case import SuiteError

SHIPPED = Path(__file__).parents[3] / "evals" / "support.jsonl"
GOOD = {
    "id": "one",
    "about": "A case",
    "input": {"customer_id": "C-1001"},
    "expect": {"status": "completed"},
}


def test_shipped_suite_has_20_cases_and_5_attacks() -> None:
    suite = case.load(SHIPPED)

    assert len(suite.cases) == 20
    assert sum(one.attack for one in suite.cases) == 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no case"),
        ("{", "suite.jsonl:1: This is not a JSON document"),
        (
            json.dumps(GOOD | {"expcet": {}}),
            "suite.jsonl:1: expcet: there is no such field",
        ),
        (json.dumps(GOOD) + "\n" + json.dumps(GOOD), "two cases named one"),
        ('{"id": "a", "id": "b"}', "suite.jsonl:1:"),
    ],
    ids=["empty", "no JSON", "a misspelt name", "one id twice", "one key twice"],
)
def test_wrong_suite_names_what_to_mend(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "suite.jsonl"
    path.write_text(text)

    with pytest.raises(SuiteError, match=words):
        case.load(path)


def test_missing_suite_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="cannot be read") as raised:
        case.load(tmp_path / "none.jsonl")

    assert raised.value.status == 2


def test_case_that_is_not_there_is_named() -> None:
    with pytest.raises(SuiteError, match="has no case nothing"):
        case.load(SHIPPED).only(("nothing",))
