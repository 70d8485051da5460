"""Laws of policy: what checked rules never do, whatever the input."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from keyturn import Limit, Money, Rule
from keyturn.orchestrator.rules.contract.check import check
from keyturn.orchestrator.rules.contract.release import spec
from keyturn.orchestrator.rules.errors import InvalidValue, PolicyError
from keyturn.orchestrator.rules.policy.rules import (
    APPROVER_RANK,
    Action,
    Escalation,
    Role,
    Verdict,
    VerdictKind,
    is_stricter,
    judge,
    strictest,
)
from keyturn.orchestrator.rules.policy.table import draw
from keyturn.orchestrator.rules.text import schema
from tests.depth import SEARCHES
from tests.orchestrator.rules.shop import TOOLS, contract, refund

ROLES: st.SearchStrategy[Role] = st.sampled_from(("agent", "lead", "admin"))
HOURS = st.integers(1, 9).map(lambda hours: timedelta(hours=hours))
# Few values, so that rules and actions meet.
CURRENCIES = st.sampled_from(["USD", "JPY"])
AMOUNTS = st.integers(1, 6)
BOUNDS = st.sets(AMOUNTS, min_size=1, max_size=3)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "speed": st.sampled_from(["fast", "slow"]),
    "is_gift": st.booleans(),
    "kind": st.sampled_from(["fraud", "Fraud"]),
}
LIMITS = [Limit(Money(10_000, code), per="run") for code in ("USD", "JPY")]


@st.composite
def conditions(draw_: st.DrawFn) -> dict[str, Any]:
    """A rule's `when`: a field or two, with a value or a set of them, or none."""
    names = draw_(st.lists(st.sampled_from(list(VALUES)), max_size=2, unique=True))
    return {
        name: draw_(VALUES[name] | st.frozensets(VALUES[name], min_size=1, max_size=2))
        for name in names
    }


@st.composite
def rules(draw_: st.DrawFn) -> Rule:
    """Any rule about refunds."""
    kind: VerdictKind = draw_(st.sampled_from(("allow", "ask", "deny")))
    asks = {"approvers": draw_(st.integers(1, 3)), "role": draw_(ROLES)}
    asks |= {"assign": draw_(st.booleans()), "within": draw_(HOURS)}
    bound = draw_(st.none() | st.builds(Money, AMOUNTS, CURRENCIES))
    when = draw_(conditions())
    more: dict[str, Any] = asks if kind == "ask" else {}
    return Rule("refund", up_to=bound, when=when, verdict=kind, **more)


@st.composite
def tiers(draw_: st.DrawFn) -> list[Rule]:
    """Rules as people write them: bounds that rise, some under a condition first."""
    when = draw_(conditions())
    code = draw_(CURRENCIES)
    people = draw_(st.lists(st.integers(0, 3), min_size=4, max_size=4))
    if draw_(st.booleans()):
        people = sorted(people)
    found: list[Rule] = []
    for bound, approvers in zip(sorted(draw_(BOUNDS)), people, strict=False):
        if when and draw_(st.booleans()):
            other = _verdict(draw_(st.integers(0, 3)))
            found.append(Rule("refund", up_to=Money(bound, code), when=when, **other))
        most = Money(bound, code) if draw_(st.booleans()) else None
        found.append(Rule("refund", up_to=most, **_verdict(approvers)))
    return [*found, *draw_(st.sampled_from([[], [Rule("refund", verdict="deny")]]))]


def _verdict(approvers: int) -> dict[str, Any]:
    return {"approvers": approvers} if approvers else {"verdict": "allow"}


ARGUMENTS = st.fixed_dictionaries(VALUES)
LISTS = tiers() | st.lists(rules(), min_size=1, max_size=4)


@st.composite
def actions(draw_: st.DrawFn) -> Action:
    """Any refund of which rules may speak."""
    return Action(
        tool="refund",
        arguments=draw_(ARGUMENTS),
        money=draw_(st.builds(Money, AMOUNTS, CURRENCIES)),
        moved=draw_(st.integers(0, 3)),
        mixed=draw_(st.booleans()),
        repeated=draw_(st.booleans()),
    )


@st.composite
def verdicts(draw_: st.DrawFn) -> Verdict:
    """Any verdict."""
    kind: VerdictKind = draw_(st.sampled_from(("allow", "ask", "ask", "deny")))
    steps = st.builds(Escalation, role=ROLES, within=HOURS)
    return Verdict(
        kind=kind,
        approvers=draw_(st.integers(1, 4)) if kind == "ask" else 0,
        role=draw_(ROLES),
        within=draw_(HOURS),
        escalate=tuple(draw_(st.lists(steps, max_size=2))),
        assign=draw_(st.booleans()) if kind == "ask" else False,
        rule=draw_(st.sampled_from("abc")),
    )


def checked(found: list[Rule]) -> list[Rule]:
    """Return rules that the check accepts; others are not this test's."""
    try:
        check(contract(found, limits=_limits(found)), TOOLS)
    except PolicyError:
        assume(condition=False)
    return found


def _limits(found: list[Rule]) -> list[Limit]:
    named = {one.up_to.currency for one in found if one.up_to and one.verdict != "deny"}
    return [limit for limit in LIMITS if limit.money.currency in named]


law = settings(
    max_examples=400 if SEARCHES else 50,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


@law
@given(LISTS, actions(), AMOUNTS)
def test_a_higher_amount_never_loosens_the_verdict(
    found: list[Rule], action: Action, more: int
) -> None:
    assert action.money is not None
    higher = Money(action.money.amount + more, action.money.currency)

    below = judge(checked(found), action)
    above = judge(found, action.model_copy(update={"money": higher}))

    assert not is_stricter(below, above)


@law
@given(LISTS, actions(), AMOUNTS)
def test_more_that_moved_before_never_loosens_the_verdict(
    found: list[Rule], action: Action, more: int
) -> None:
    below = judge(checked(found), action)
    above = judge(found, action.model_copy(update={"moved": action.moved + more}))

    assert not is_stricter(below, above)


@law
@given(LISTS, actions(), st.sampled_from(["repeated", "mixed"]))
def test_what_was_done_before_never_loosens_the_verdict(
    found: list[Rule], action: Action, what: str
) -> None:
    without = judge(found, action.model_copy(update={what: False}))
    after = judge(found, action.model_copy(update={what: True}))

    assert not is_stricter(without, after)


@law
@given(LISTS, actions(), st.sets(st.sampled_from([*VALUES, "money"]), min_size=1))
def test_what_is_missing_never_loosens_the_verdict(
    found: list[Rule], action: Action, gone: set[str]
) -> None:
    left = {name: v for name, v in action.arguments.items() if name not in gone}
    money = None if "money" in gone else action.money
    lacking = action.model_copy(update={"arguments": left, "money": money})

    assert not is_stricter(judge(found, action), judge(found, lacking))


@law
@given(LISTS, actions())
def test_no_missing_field_gets_past_the_schema_of_checked_rules(
    found: list[Rule], action: Action
) -> None:
    looked_at = {name for rule in checked(found) for name in rule.when}
    whole: dict[str, JsonValue] = {
        **action.arguments,
        "method": "card",
        "parcels": 1,
        "order_id": "o1",
        "amount": {"amount": 1, "currency": "USD"},
    }

    schema.check(whole, spec(refund).parameters)

    for name in looked_at | {"order_id", "amount"}:
        lacking = {key: v for key, v in whole.items() if key != name}
        with pytest.raises(InvalidValue, match=name):
            schema.check(lacking, spec(refund).parameters)


@law
@given(LISTS)
def test_the_table_of_checked_rules_says_what_judging_says(found: list[Rule]) -> None:
    drawn = draw(checked(found), spec(refund))

    for line in drawn.lines:
        assert {one.verdict for one in line.examples} <= {line.verdict}


@given(verdicts())
def test_strictest_of_one_twice_is_that_one(one: Verdict) -> None:
    assert core(strictest(one, one)) == core(one) == core(strictest(one))


@given(verdicts(), verdicts())
def test_strictest_does_not_depend_on_the_order(one: Verdict, other: Verdict) -> None:
    assert core(strictest(one, other)) == core(strictest(other, one))


@given(verdicts(), verdicts(), verdicts())
def test_strictest_does_not_depend_on_the_grouping(
    one: Verdict, two: Verdict, three: Verdict
) -> None:
    left = strictest(strictest(one, two), three)
    right = strictest(one, strictest(two, three))

    assert core(left) == core(right) == core(strictest(one, two, three))


@given(st.lists(verdicts(), min_size=1, max_size=4))
def test_strictest_is_never_looser_than_any(found: list[Verdict]) -> None:
    joined = strictest(*found)

    assert not any(is_stricter(one, joined) for one in found)
    assert joined.kind != "ask" or all(
        APPROVER_RANK[step.role] >= APPROVER_RANK[joined.role]
        for step in joined.escalate
    )


@given(verdicts(), verdicts())
def test_stricter_is_what_strictest_adds(one: Verdict, other: Verdict) -> None:
    assert is_stricter(strictest(one, other), one) == is_stricter(other, one)


@law
@given(verdicts(), verdicts(), verdicts())
def test_what_is_at_least_as_strict_is_so_throughout(
    one: Verdict, two: Verdict, three: Verdict
) -> None:
    assume(not is_stricter(one, two) and not is_stricter(two, three))

    assert not is_stricter(one, three)


def core(verdict: Verdict) -> tuple[object, ...]:
    """Return what a verdict wants; its words and chain are those of the first rule."""
    if verdict.kind != "ask":
        return (verdict.kind,)
    asked = verdict.approvers, verdict.role, verdict.within, verdict.assign
    return (verdict.kind, *asked)
