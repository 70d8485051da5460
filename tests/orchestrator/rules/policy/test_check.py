"""Rules that their author cannot have meant are named when they are loaded."""

from datetime import timedelta

import pytest
from pydantic import BaseModel, Field

from keyturn import Limit, Money, Rule, ToolContext, tool
from keyturn.orchestrator.rules.contract.check import check
from keyturn.orchestrator.rules.errors import (
    ContractError,
    CurrencyWithoutLimit,
    CurrencyWithoutRule,
    DeadRule,
    EvadableValue,
    LooserVerdict,
    OptionalField,
    PolicyError,
    PolicyGap,
    RuleOnOptionalField,
    ToolWithoutRule,
    TwinTiers,
    UnboundedAllow,
    ValueNeverOccurs,
)
from keyturn.orchestrator.rules.money.money import LARGEST_AMOUNT
from keyturn.orchestrator.rules.policy.rules import Scalar
from tests.orchestrator.rules.shop import TOOLS, Done, accept, contract, eur, usd

SMALL = Rule("refund", up_to=usd(20_00), verdict="allow")
MIDDLE = Rule("refund", up_to=usd(500_00), approvers=1)
LARGE = Rule("refund", up_to=usd(5_000_00), approvers=2, role="lead")
ANY = Rule("refund", approvers=2, role="lead")
FAST: dict[str, Scalar | frozenset[Scalar]] = {"speed": "fast"}
SLOW: dict[str, Scalar | frozenset[Scalar]] = {"speed": "slow"}


def test_a_ceiling_is_no_gap() -> None:
    accept(SMALL)
    accept(SMALL, MIDDLE, LARGE)
    accept(SMALL, Rule("refund", verdict="deny"))


def test_each_mistake_names_its_contract_and_tool() -> None:
    with pytest.raises(PolicyError) as caught:
        accept(MIDDLE, SMALL)

    assert (caught.value.contract, caught.value.tool) == ("shop", "refund")
    assert str(caught.value).startswith("Contract 'shop', tool 'refund': ")


@pytest.mark.parametrize(
    "rules",
    [
        (ANY, SMALL),
        (MIDDLE, SMALL),
        (SMALL, Rule("refund", up_to=usd(10_00), verdict="deny")),
        (ANY, Rule("refund", when=FAST, verdict="deny")),
        (
            Rule("refund", when=FAST, approvers=1),
            Rule("refund", when=SLOW, approvers=1),
            ANY,
        ),
    ],
    ids=["all before", "lower after", "deny after", "denied value", "both values"],
)
def test_a_rule_that_never_decides_is_dead(rules: tuple[Rule, ...]) -> None:
    with pytest.raises(DeadRule, match=r"never decides: “refund.*comes first"):
        accept(*rules)


def test_two_tiers_with_one_bound_are_twins() -> None:
    again = Rule("refund", up_to=usd(20_00), approvers=1)

    with pytest.raises(TwinTiers, match="have the same bound"):
        accept(SMALL, again)


def test_two_tiers_with_one_bound_for_different_values_are_no_twins() -> None:
    accept(
        Rule("refund", up_to=usd(20_00), when=FAST, approvers=2),
        Rule("refund", up_to=usd(20_00), approvers=1),
    )


@pytest.mark.parametrize(
    ("rules", "where"),
    [
        ((Rule("refund", when=FAST, approvers=1),), 'speed is "slow"'),
        (
            (
                Rule("refund", when={"method": "card"}, approvers=1),
                Rule("refund", when={"is_gift": True}, approvers=1),
            ),
            'method is "credit" and is_gift is false',
        ),
        ((Rule("refund", when={"parcels": 1}, approvers=1),), "parcels is any other"),
        (
            (SMALL, Rule("refund", up_to=usd(500_00), when=FAST, approvers=1)),
            "no rule matches higher amounts",
        ),
    ],
    ids=["value", "combination", "number", "amount"],
)
def test_arguments_of_which_no_rule_speaks_are_a_gap(
    rules: tuple[Rule, ...], where: str
) -> None:
    with pytest.raises(PolicyGap) as caught:
        accept(*rules, limits=[Limit(usd(1_000_00), per="customer")])

    assert where in str(caught.value)


def test_a_written_no_closes_a_gap() -> None:
    accept(
        Rule("refund", when=FAST, approvers=1),
        Rule("refund", verdict="deny"),
    )
    accept(
        SMALL,
        Rule("refund", up_to=usd(500_00), when=FAST, approvers=1),
        Rule("refund", when=SLOW, verdict="deny"),
    )


def test_an_action_without_a_rule_is_not_granted() -> None:
    with pytest.raises(ToolWithoutRule, match="always be denied"):
        check(contract((ANY,), tools=("refund", "set_note", "find")), TOOLS)


@pytest.mark.parametrize(
    "euros",
    [
        (Rule("refund", up_to=eur(20_00), verdict="allow"),),
        (
            Rule("refund", up_to=eur(20_00), verdict="allow"),
            Rule("refund", up_to=eur(500_00), approvers=1),
        ),
    ],
    ids=["asks nobody", "asks one"],
)
def test_a_currency_that_lacks_a_tier_is_named(euros: tuple[Rule, ...]) -> None:
    with pytest.raises(CurrencyWithoutRule, match=r"EUR ends before .* which USD has"):
        accept(SMALL, MIDDLE, LARGE, *euros)


def test_a_currency_may_begin_more_strictly_or_end_with_a_no() -> None:
    accept(SMALL, MIDDLE, Rule("refund", up_to=eur(500_00), approvers=1))
    accept(
        SMALL,
        MIDDLE,
        Rule("refund", up_to=eur(20_00), verdict="allow"),
        Rule("refund", up_to=eur(500_00), verdict="deny"),
    )


def test_a_limit_in_a_currency_without_a_rule_is_named() -> None:
    with pytest.raises(CurrencyWithoutRule, match="no rule permits EUR"):
        accept(SMALL, limits=[Limit(usd(50_00), per="run"), Limit(eur(1), per="run")])


def test_a_rule_in_a_currency_without_a_limit_is_named() -> None:
    with pytest.raises(CurrencyWithoutLimit, match="Add a Limit in EUR"):
        accept(
            SMALL,
            Rule("refund", up_to=eur(20_00), verdict="allow"),
            limits=[Limit(usd(50_00), per="run")],
        )


def test_an_amount_without_any_bound_is_not_allowed_outright() -> None:
    everything = Rule("refund", verdict="allow")

    with pytest.raises(UnboundedAllow, match="Give the rule an up_to"):
        accept(everything)

    accept(everything, limits=[Limit(usd(50_00), per="customer")])


def test_a_rule_on_a_field_that_may_be_left_out_is_named() -> None:
    with pytest.raises(RuleOnOptionalField, match="'hint', which is optional"):
        accept(Rule("refund", when={"hint": "x"}, verdict="deny"), ANY)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("speed", "Fast"),
        ("method", "cash"),
        ("is_gift", 1),
        ("is_gift", "true"),
        ("parcels", "1"),
        ("parcels", True),
        ("kind", 7),
    ],
)
def test_a_value_that_its_field_never_has_is_named(name: str, value: Scalar) -> None:
    with pytest.raises(ValueNeverOccurs, match=name):
        accept(Rule("refund", when={name: value}, approvers=1), ANY)


def test_a_spelling_of_free_text_is_not_judged_more_strictly() -> None:
    with pytest.raises(EvadableValue, match="any other spelling"):
        accept(Rule("refund", when={"kind": "fraud"}, verdict="deny"), ANY)


def test_a_spelling_of_free_text_may_be_judged_more_loosely() -> None:
    accept(Rule("refund", when={"kind": "late"}, approvers=1), ANY)


def test_a_value_of_a_closed_set_may_be_judged_more_strictly() -> None:
    accept(Rule("refund", when=FAST, verdict="deny"), ANY)


@pytest.mark.parametrize(
    "rules",
    [
        (MIDDLE, Rule("refund", up_to=usd(900_00), verdict="allow")),
        (LARGE, Rule("refund", approvers=1)),
        (LARGE, Rule("refund", approvers=3, role="agent")),
        (Rule("refund", up_to=usd(1), verdict="deny"), ANY),
        (Rule("refund", up_to=usd(1), approvers=1, assign=True), MIDDLE),
        (SMALL, Rule("refund", when=FAST, up_to=usd(90_00), verdict="deny"), ANY),
    ],
    ids=["allow", "fewer", "lower role", "deny", "not assigned", "one combination"],
)
def test_a_higher_amount_is_not_judged_more_loosely(rules: tuple[Rule, ...]) -> None:
    with pytest.raises(LooserVerdict, match="A higher amount must not be easier"):
        accept(*rules, limits=[Limit(usd(1_000_00), per="customer")])


def test_a_bound_at_the_largest_amount_is_checked_too() -> None:
    accept(SMALL, Rule("refund", up_to=usd(LARGEST_AMOUNT), approvers=1))


def test_a_table_that_nobody_can_read_is_refused() -> None:
    rules = [
        Rule("refund", when={"parcels": n, "speed": "fast"}, approvers=1)
        for n in range(200)
    ]

    with pytest.raises(ContractError, match="more than 20000"):
        accept(*rules)


@pytest.mark.parametrize("which", ["default", "alias"])
def test_what_judges_an_action_cannot_be_left_out(which: str) -> None:
    field = Field(default="o1") if which == "default" else Field(alias="order")

    class Call(BaseModel):
        order_id: str = field

    async def act(call: Call, context: ToolContext) -> Done:
        """Act."""
        return Done(id=f"{call.order_id} {context.run}")

    act.__annotations__ = {"call": Call, "context": ToolContext, "return": Done}

    with pytest.raises(OptionalField, match="subject 'order_id'"):
        tool(authority="write", owner="t", subject="order_id")(act)


def test_money_with_a_default_is_refused() -> None:
    class Call(BaseModel):
        amount: Money = Money(1, "USD")

    async def act(call: Call, context: ToolContext) -> Done:
        """Act."""
        return Done(id=f"{call.amount} {context.run}")

    act.__annotations__ = {"call": Call, "context": ToolContext, "return": Done}

    with pytest.raises(OptionalField, match="money 'amount'"):
        tool(authority="write", owner="t", money="amount")(act)


def test_the_length_of_a_window_makes_no_rule_stricter() -> None:
    long = Rule("refund", up_to=usd(9), approvers=1, within=timedelta(days=1))

    accept(long, Rule("refund", approvers=1, within=timedelta(hours=1)))
