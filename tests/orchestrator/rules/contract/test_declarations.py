"""A wrong declaration is refused where it is written, with its value, in a sentence."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ValidationError

from keyturn import (
    Alias,
    Budget,
    Contract,
    Fallback,
    Limit,
    Money,
    Rule,
    ToolContext,
    tool,
)
from keyturn.orchestrator.rules.contract.contract import Retention
from keyturn.orchestrator.rules.contract.marks import Prose
from keyturn.orchestrator.rules.errors import ContractError
from keyturn.orchestrator.rules.policy.rules import Escalation
from tests.orchestrator.rules.shop import Done, Ticket, usd

BUDGET = Budget(cost_usd=Decimal(1), tokens=1, turns=1, owner="t")
RIGHT: dict[Callable[..., object], dict[str, Any]] = {
    Contract: {
        "name": "shop",
        "owner": "t",
        "on_call": "t@example.com",
        "input": Ticket,
        "output": Done,
        "customer": "customer",
        "budget": BUDGET,
    },
    Rule: {"tool": "refund", "approvers": 1},
    Escalation: {"role": "lead"},
    Limit: {"money": usd(5), "per": "run"},
    Budget: {"cost_usd": Decimal(1), "tokens": 1, "turns": 1, "owner": "t"},
    Retention: {},
    Alias: {"name": "standard", "targets": ("openai/gpt-5.2",)},
    Fallback: {},
    Money: {"amount": 5, "currency": "USD"},
}
NO_TIMES = (4, 4.5, True, "4", "4 hours", timedelta(0), timedelta(-1), timedelta.max)
NO_TEXTS = ("", "  ", "\u200b", 5, True, None)
NO_COUNTS = (0, -1, 1.5, "1", True)
NO_FLAGS = (1, "yes", None)
WAYS = ("person", True, None, 5, ("hand_off",))
WRONG: dict[Callable[..., object], dict[str, tuple[object, ...]]] = {
    Contract: {
        "name": (*NO_TEXTS, "A Name", "a\n"),
        "owner": NO_TEXTS,
        "on_call": NO_TEXTS,
        "description": (5, None),
        "instructions": (5, None),
        "input": (5, "Ticket", dict, usd(5)),
        "output": (5, "Done", dict, None),
        "customer": (5, "", "nobody", None),
        "contact": (5, "", "nothing"),
        "never_sees": ("pci", 5, None),
        "separates_tenants": ("payments", 5, None),
        "tools": ("refund", 5, ("a", "a"), (5,)),
        "rules": ("refund", 5, ("refund",), Rule("refund", approvers=1)),
        "budget": (5, "1 USD", None),
        "limits": (5, (usd(5),), Limit(usd(5), per="run")),
        "fallback": ("hand_off", 5, None),
        "retention": (timedelta(days=1), 90, None),
        "model": (5, None, ("standard",)),
        "safer_model": (5, None),
        "max_output_tokens": NO_COUNTS,
        "temperature": (-1, 3, True, "hot"),
        "model_timeout": NO_TIMES,
        "window": NO_COUNTS,
        "max_input_bytes": (*NO_COUNTS, 2_000_000),
        "confidence": (5, "", "nothing"),
        "min_confidence": (True, "high", None),
    },
    Rule: {
        "tool": NO_TEXTS,
        "up_to": (5, "5.00 USD", (5, "USD"), Decimal(5)),
        "when": ("a", {"a": None}, {"a": 1.5}, {5: "a"}, {"a": frozenset[str]()}),
        "verdict": ("yes", True, None, "allow"),
        "approvers": (-1, 0, 6, 1.5, "1", True),
        "role": ("boss", "operator", None, 5),
        "within": NO_TIMES,
        "escalate": ("lead", 5, Escalation(role="lead"), ("lead",)),
        "assign": NO_FLAGS,
    },
    Escalation: {"role": ("boss", "auditor", None), "within": NO_TIMES},
    Limit: {
        "money": (5, "5.00 USD", None),
        "per": ("day", None, 5),
        "within": NO_TIMES,
    },
    Budget: {
        "cost_usd": (0, -1, True, "much", Decimal("NaN"), Decimal("Infinity")),
        "tokens": NO_COUNTS,
        "turns": (*NO_COUNTS, 10_000),
        "owner": NO_TEXTS,
        "workflow_day_usd": (0, -1, True, "much"),
        "tenant_day_usd": (0, -1, True, "much"),
    },
    Retention: {"transcript": NO_TIMES, "audit": NO_TIMES},
    Alias: {
        "name": NO_TEXTS,
        "targets": ("openai/gpt-5.2", (), ("gpt-5.2",), ("/x",), ("x/",), (5,), None),
    },
    Fallback: {
        "refusal": WAYS,
        "low_confidence": WAYS,
        "timeout": WAYS,
        # A safer model finds the same tool, budget or code.
        "tool_failure": (*WAYS, "safer_model"),
        "invalid_output": WAYS,
        "budget": (*WAYS, "safer_model"),
        "loop": WAYS,
        "code_error": (*WAYS, "safer_model"),
    },
    Money: {
        "amount": (0, -5, 1.5, "5", True, 10**16, None),
        "currency": ("usd", "US", "XXX", "DEM", "", None, 5),
    },
}


def _fields(kind: Any) -> set[str]:
    names = kind.model_fields if issubclass(kind, BaseModel) else kind.__annotations__
    return set(names)


@pytest.mark.parametrize("kind", list(WRONG), ids=lambda kind: kind.__name__)
def test_every_option_that_an_author_declares_is_walked(kind: Any) -> None:
    assert set(WRONG[kind]) == _fields(kind)
    kind(**RIGHT[kind])


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [
        pytest.param(kind, option, value, id=f"{kind.__name__}.{option}={value!r:.30}")
        for kind, options in WRONG.items()
        for option, values in options.items()
        for value in values
    ],
)
def test_a_wrong_value_of_an_option_is_refused(
    kind: Callable[..., object], option: str, value: object
) -> None:
    with pytest.raises((ContractError, ValidationError)):
        kind(**{**RIGHT[kind], option: value})


@pytest.mark.parametrize("kind", list(WRONG), ids=lambda kind: kind.__name__)
def test_an_option_that_is_not_there_is_refused(kind: Callable[..., object]) -> None:
    with pytest.raises(ValidationError, match="surprise"):
        kind(**RIGHT[kind], surprise=1)


def test_a_contract_knows_the_line_on_which_it_is_written() -> None:
    path, _, line = Contract(**RIGHT[Contract]).place.rpartition(":")

    assert path == __file__
    assert int(line) > 100


class Worded(BaseModel):
    order_id: Annotated[str, Prose()]
    amount: Annotated[Money, Prose()]


@pytest.mark.parametrize(
    ("option", "field"), [("subject", "order_id"), ("money", "amount")]
)
def test_what_judges_an_action_is_no_wording(option: str, field: str) -> None:
    """An editor would change it by themselves."""

    async def pay(call: Worded, context: ToolContext) -> Worded:
        raise NotImplementedError(call, context)

    named: Any = {option: field}

    with pytest.raises(ContractError, match=f"its {option} '{field}' is marked"):
        tool(authority="write", owner="tests", description="Pay.", **named)(pay)
