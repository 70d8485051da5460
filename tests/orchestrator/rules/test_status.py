"""The statuses and what may follow each: in the rules, the record and the reference."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest

from keyturn.orchestrator.rules import status
from keyturn.orchestrator.store.status import approval, call, effect, run
from keyturn.orchestrator.store.status.errors import NoSuchTransition
from keyturn.orchestrator.store.tables import ApprovalRow, CallRow, EffectRow, RunRow

PAGE = (Path(__file__).parents[3] / "docs/reference/statuses.md").read_text()
NOW = datetime(2026, 11, 25, tzinfo=UTC)


class Noun(NamedTuple):
    statuses: tuple[str, ...]
    transitions: status.Transitions[Any]
    # No transition leaves these, but for those that the reference names.
    ends: frozenset[str]
    leaves: frozenset[tuple[str, str]]
    move: Callable[[Any, Any], None]
    row: Callable[[], Any]


NOUNS = {
    "run": Noun(
        get_args(status.RunStatus),
        status.RUN_TRANSITIONS,
        status.ENDED_RUNS,
        frozenset((end, "handed_off") for end in status.ENDED_RUNS),
        run.move,
        lambda: RunRow(
            id="r", workflow="w", tenant="t", customer="c", release="", input="{}",
            created_at=NOW,
        ),
    ),
    "call": Noun(
        get_args(status.CallStatus),
        status.CALL_TRANSITIONS,
        frozenset(get_args(status.CallStatus)) - {"open"},
        frozenset(),
        call.move,
        lambda: CallRow(
            run="r", turn=1, index=0, tool="t", authority="read_only", arguments="{}",
            arguments_hash="", gate="read", created_at=NOW,
        ),
    ),
    "approval": Noun(
        get_args(status.ApprovalStatus),
        status.APPROVAL_TRANSITIONS,
        frozenset(get_args(status.ApprovalStatus)) - status.OPEN_APPROVALS,
        frozenset((no, "void") for no in status.ANSWERED_NO),
        approval.move,
        lambda: ApprovalRow(
            id="a", run="r", turn=1, index=0, tenant="t", workflow="w", customer="c",
            tool="t", arguments="{}", verdict={}, rule="", needed=1, role="agent",
            release="", policy="", not_by=[], answer_by=NOW, created_at=NOW,
        ),
    ),
    "effect": Noun(
        get_args(status.EffectStatus),
        status.EFFECT_TRANSITIONS,
        frozenset(get_args(status.EffectStatus)) - status.OPEN_EFFECTS,
        frozenset({("done", "failed"), ("failed", "done"), ("refused", "leased")}),
        effect.move,
        lambda: EffectRow(
            key="k", run="r", turn=1, index=0, revision=0, tenant="t", workflow="w",
            customer="c", customer_key="c", tool="t", corpora=[], arguments="{}",
            preview="{}", binding="", approvers=[], holder="h",
            lease_until=NOW + timedelta(seconds=5), created_at=NOW,
        ),
    ),
}  # fmt: skip
each_noun = pytest.mark.parametrize("noun", NOUNS.values(), ids=NOUNS)


@each_noun
def test_every_status_says_what_may_follow_it(noun: Noun) -> None:
    assert set(noun.transitions) == set(noun.statuses)
    assert set().union(*noun.transitions.values()) <= set(noun.statuses)


@each_noun
def test_no_transition_leaves_an_end_but_those_that_are_named(noun: Noun) -> None:
    leaving = {(end, to) for end in noun.ends for to in noun.transitions[end]}

    assert leaving == noun.leaves


@each_noun
def test_every_status_is_reached_from_the_first_one(noun: Noun) -> None:
    reached: set[str] = set()
    ahead = {str(noun.row().status)}
    while ahead:
        reached |= ahead
        ahead = set[str]().union(*(noun.transitions[one] for one in ahead)) - reached

    assert reached == set(noun.statuses)


@each_noun
def test_a_row_moves_as_the_table_says_and_in_no_other_way(noun: Noun) -> None:
    for was in noun.statuses:
        for to in noun.statuses:
            row = noun.row()
            row.status = was

            if to in noun.transitions[was]:
                noun.move(row, to)
                assert row.status == to
            else:
                with pytest.raises(NoSuchTransition, match=f"{was} and cannot become"):
                    noun.move(row, to)
                assert row.status == was


def test_sources_are_the_statuses_that_a_status_may_follow() -> None:
    assert status.sources(status.CALL_TRANSITIONS, "done") == {"open"}
    assert status.sources(status.EFFECT_TRANSITIONS, "refused") == {"leased"}
    assert status.sources(status.CALL_TRANSITIONS, "open") == set()


@pytest.mark.parametrize("name", NOUNS)
def test_the_reference_names_the_same_transitions(name: str) -> None:
    named = {was: to for noun, was, to in transitions_in(PAGE) if noun == name}

    assert named == {one: set(to) for one, to in NOUNS[name].transitions.items()}


@pytest.mark.parametrize(
    ("heading", "name"),
    [("Runs", "run"), ("Approvals", "approval"), ("Effects", "effect")],
)
def test_the_reference_explains_the_same_statuses(heading: str, name: str) -> None:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]

    explained = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)

    assert sorted(explained) == sorted(NOUNS[name].statuses)


def transitions_in(page: str) -> Iterator[tuple[str, str, set[str]]]:
    section = page.split("## Transitions\n")[1].split("\n## ", maxsplit=1)[0]
    for noun, was, to in re.findall(
        r"^\| (\w+) \| `(\w+)` \| (.+) \|$", section, re.MULTILINE
    ):
        yield noun, was, set(re.findall(r"`(\w+)`", to))
