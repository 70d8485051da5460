"""Failures that happened elsewhere, and the tests that they cannot happen here.

Some are proven where their part is tested; this list says where, and is complete.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGINE = "tests/regressions/test_engine.py"
DECISIONS = "tests/regressions/test_decisions.py"
ARGUMENTS = "tests/regressions/test_arguments.py"

NAMED: dict[str, tuple[str, ...]] = {
    "a rejected call executed anyway": (
        f"{ENGINE}::test_a_rejected_call_is_never_executed",
        f"{ENGINE}::test_a_rejected_call_stays_undone_when_the_run_is_started_again",
        f"{DECISIONS}::test_a_rejection_turned_into_a_yes_in_the_database_is_none",
    ),
    "one rejection discarding approved siblings": (
        f"{ENGINE}::test_one_rejection_leaves_approved_siblings",
    ),
    "a stale button approving a different call": (
        f"{DECISIONS}::test_a_stale_button_approves_no_other_call",
        "tests/browser/test_desk.py::test_a_double_click_does_not_decide_the_next_item",
    ),
    "decline executing the tool": (f"{DECISIONS}::test_declining_carries_nothing_out",),
    "an edit switching the tool": (
        f"{DECISIONS}::test_an_edit_does_not_switch_the_tool",
    ),
    "an edit skipping policy": (
        f"{DECISIONS}::test_an_edit_goes_through_policy_again",
    ),
    "approval as a bare boolean re-run by a retry": (
        f"{ENGINE}::test_a_retry_does_not_read_a_yes_again",
        f"{DECISIONS}::test_an_approval_is_no_flag_that_a_second_run_finds_set",
    ),
    "approval accepted after its expiry": (
        f"{DECISIONS}::test_nothing_is_accepted_after_its_time",
        f"{DECISIONS}::test_a_yes_that_was_given_in_time_does_not_last_for_ever",
    ),
    "the approver's name taken from the request body": (
        f"{DECISIONS}::test_who_approves_is_the_session_and_never_the_body",
    ),
    "the model approving its own call": (f"{ENGINE}::test_a_yes_in_words_is_no_yes",),
    "the model calling an approval tool": (f"{ENGINE}::test_a_yes_in_words_is_no_yes",),
    "two decisions in one millisecond": (
        f"{DECISIONS}::test_two_decisions_in_one_millisecond_have_one_outcome",
        f"{DECISIONS}::test_two_people_in_one_millisecond_are_two_people",
    ),
    "a decision that arrives before its wait begins": (
        f"{ENGINE}::test_a_decision_before_the_wait_begins_is_not_lost",
        f"{ENGINE}::test_a_decision_that_no_wait_ever_heard_of_is_acted_on",
    ),
    "arguments shown differing from arguments run": (
        f"{ENGINE}::test_what_is_shown_is_what_is_run",
        f"{ENGINE}::test_what_can_be_read_two_ways_is_not_shown_and_not_run",
        f"{ARGUMENTS}::test_one_meaning_has_one_form_whatever_way_it_is_written",
        f"{ARGUMENTS}::test_what_two_parsers_read_differently_is_refused",
    ),
    "a tool-call id used twice for different calls": (
        "tests/engine/test_loop.py"
        "::test_calls_with_one_id_of_the_provider_are_all_carried_out",
        f"{ENGINE}::test_one_id_for_different_calls_of_different_turns_loses_none",
    ),
    "“we refunded you” sent while the refund was rejected": (
        "tests/engine/test_run.py"
        "::test_a_rejected_refund_voids_the_mail_that_announces_it",
    ),
    "the order changed between approval and start": (
        f"{ENGINE}::test_an_order_that_changes_after_the_approval_is_not_refunded",
    ),
}


@pytest.mark.parametrize("failure", NAMED)
def test_every_named_failure_has_its_test(failure: str) -> None:
    for where in NAMED[failure]:
        path, _, name = where.partition("::")

        assert name in _tests(ROOT / path), where


def _tests(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {one.name for one in tree.body if isinstance(one, functions)}
