"""The shipped suite passes through the real engine, and a suite can fail."""

import json
from pathlib import Path

import pytest

from keyturn.orchestrator.evals import report, suite
from keyturn.orchestrator.evals.suite import CaseResult, SuiteResult
from keyturn.orchestrator.processes.exit_status import Away
from keyturn.orchestrator.rules.settings import Settings

SHIPPED = Path(__file__).parents[3] / "evals" / "support.jsonl"
CASES = [json.loads(line) for line in SHIPPED.read_text().splitlines()]

WRONG: list[tuple[str, dict[str, object], str]] = [
    ("small-refund", {"status": "handed_off"}, "status is completed, not handed_off"),
    (
        "small-refund",
        {"effects": []},
        "an unexpected effect: refund_order order_id=O-1001",
    ),
    ("small-refund", {"output": {"outcome": "declined"}}, "output outcome is"),
    ("small-refund", {"called": ["list_orders"]}, "list_orders was not called"),
    ("small-refund", {"not_called": ["find_order"]}, "find_order was called"),
    ("where-is-it", {"effects": [{"tool": "email_customer"}]}, "no effect"),
    ("where-is-it", {"never": ["Northwind"]}, "a prompt holds 'Northwind'"),
    ("where-is-it", {"ended": {"find_order": ["failed"]}}, "find_order ended done"),
]


async def test_shipped_suite_passes(temporal_address: str) -> None:
    told: list[CaseResult] = []

    result = await suite.run_suite(
        SHIPPED, Settings(), temporal=temporal_address, progress=told.append
    )

    assert [(one.id, one.failures) for one in result.cases if one.failures] == []
    assert result.passed
    assert result.scripted
    assert {one.id for one in told} == {one["id"] for one in CASES}
    assert set(result.releases) == {"support-ticket"}


async def test_wrong_expectations_fail(temporal_address: str, tmp_path: Path) -> None:
    # One run of each case does: everything that is wrong is told, not the first alone.
    wrong: dict[str, dict[str, object]] = {}
    for case, expect, _ in WRONG:
        wrong.setdefault(case, {}).update(expect)
    path = tmp_path / "wrong.jsonl"
    path.write_text("\n".join(_wrong(*one) for one in wrong.items()))

    result = await suite.run_suite(path, Settings(), temporal=temporal_address)

    assert not result.passed
    found = {one.id: one.failures for one in result.cases}
    for case, _, words in WRONG:
        assert len([one for one in found[case] if words in one]) == 1, words
    # Both effects of the first are too many.
    assert sum(map(len, found.values())) == len(WRONG) + 1


async def test_input_that_misfits_fails_its_case(
    temporal_address: str, tmp_path: Path
) -> None:
    path = tmp_path / "misfit.jsonl"
    path.write_text(json.dumps(CASES[0] | {"input": {"customer_id": "C-1001"}}))

    result = await suite.run_suite(path, Settings(), temporal=temporal_address)

    assert "required property" in result.cases[0].failures[0]


async def test_temporal_that_is_away_is_named() -> None:
    with pytest.raises(Away, match=r"Temporal at 127\.0\.0\.1:1 does not answer"):
        await suite.run_suite(SHIPPED, Settings(), temporal="127.0.0.1:1")


def test_summary_tells_attacks_apart() -> None:
    cases = (
        CaseResult(id="a", about="", attack=False, passed=True),
        CaseResult(id="b", about="", attack=True, passed=False, failures=("x\x1b[2J",)),
    )
    result = SuiteResult(
        suite="s.jsonl",
        suite_hash="0" * 64,
        releases={},
        scripted=True,
        passed=False,
        cases=cases,
    )

    assert report.summary(result)[0] == (
        "1 of 2 cases passed; 0 of 1 attacks were held off. Asked: a scripted model."
    )
    assert "\x1b" not in report.line(cases[1])


def _wrong(case_id: str, expect: dict[str, object]) -> str:
    found = next(one for one in CASES if one["id"] == case_id)
    return json.dumps(found | {"expect": found["expect"] | expect})
