"""A policy drawn says what judging says, on both sides of every boundary."""

import pytest

from keyturn import Limit, Rule
from keyturn.orchestrator.rules.contract.release import spec
from keyturn.orchestrator.rules.policy.rules import Action, judge
from keyturn.orchestrator.rules.policy.table import Line, draw
from tests.orchestrator.rules.shop import eur, refund, set_note, usd

SMALL = Rule("refund", up_to=usd(20_00), verdict="allow")
MIDDLE = Rule("refund", up_to=usd(500_00), approvers=1)
LARGE = Rule("refund", up_to=usd(5_000_00), approvers=2, role="lead", assign=True)
TIERS = (SMALL, MIDDLE, LARGE)


def lines(*rules: Rule, limits: tuple[Limit, ...] = ()) -> tuple[Line, ...]:
    return draw(rules, spec(refund), limits).lines


def test_each_boundary_is_shown_from_both_sides() -> None:
    said = [one.text for line in lines(*TIERS) for one in line.examples]

    assert said == [
        "0.01 USD: allowed",
        "20.00 USD: allowed",
        "20.01 USD: 1 agent within 4 h",
        "500.00 USD: 1 agent within 4 h",
        "500.01 USD: 2 leads within 4 h, picked by the system",
        "5000.00 USD: 2 leads within 4 h, picked by the system",
        "5000.01 USD: denied: no rule matches",
    ]


def test_amounts_and_other_currencies_are_in_words() -> None:
    assert [line.amounts for line in lines(*TIERS)] == [
        "up to 20.00 USD",
        "20.01 USD to 500.00 USD",
        "500.01 USD to 5000.00 USD",
        "5000.01 USD and more",
        "any amount in another currency",
    ]


def test_what_moved_before_is_shown_from_both_sides() -> None:
    assert [one.text for one in lines(*TIERS)[0].shared] == [
        "10.00 USD after 10.00 USD moved: allowed",
        "10.01 USD after 10.00 USD moved: 1 agent within 4 h",
    ]


def test_a_repeat_is_shown_where_it_is_judged_otherwise() -> None:
    assert [line.again for line in lines(*TIERS)[:2]] == ["1 agent within 4 h", None]


def test_what_a_limit_refuses_whoever_approves_is_shown() -> None:
    limits = (Limit(usd(1_000_00), per="customer"),)

    shown = [line.limit for line in lines(*TIERS, limits=limits)]

    assert shown == [None, None, "1000.00 USD per customer within 1 d", None, None]


def test_values_that_read_alike_are_one_line() -> None:
    fast = Rule("refund", when={"speed": "fast"}, approvers=2)
    both = frozenset({"a", "b"})
    drawn = lines(
        fast,
        Rule("refund", when={"kind": both}, approvers=1),
        Rule("refund", approvers=2),
    )

    assert [line.where for line in drawn] == [
        "speed is fast",
        "speed is slow and kind is a or b",
        "speed is slow and kind is anything else",
    ]


def test_every_currency_that_a_rule_names_has_its_lines() -> None:
    drawn = lines(SMALL, Rule("refund", up_to=eur(10_00), verdict="allow"))

    assert [line.amounts for line in drawn if line.kind == "allow"] == [
        "up to 20.00 USD",
        "up to 10.00 EUR",
    ]


def test_a_tool_without_rules_is_one_denial() -> None:
    [line] = draw((), spec(set_note)).lines

    assert (line.where, line.amounts, line.verdict) == (
        "",
        "",
        "denied: no rule matches",
    )


@pytest.mark.parametrize("moved", [0, 7_00])
def test_every_example_is_what_judging_says(moved: int) -> None:
    for line in lines(*TIERS):
        for one in (*line.examples, *line.shared):
            before = one.moved.amount if one.moved else 0
            action = Action(tool="refund", arguments={}, money=one.amount, moved=before)

            verdict = judge(TIERS, action)

            assert one.verdict.startswith(
                {"allow": "allowed", "deny": "denied"}.get(
                    verdict.kind, str(verdict.approvers)
                )
            )
            more = action.model_copy(update={"moved": before + moved})
            assert judge(TIERS, more).strictness >= verdict.strictness
