"""What is wrong with a contract, found before a worker takes work."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise, product

from orchestrator.contract import Contract
from orchestrator.errors import ContractError
from orchestrator.money import Money
from orchestrator.policy import (
    APPROVER_RANK,
    Action,
    Rule,
    Scalar,
    is_stricter,
    judge,
    matches,
)
from orchestrator.tool import Tool

# A table with more cells than this cannot be read by the person who owns it either.
LARGEST_TABLE = 20_000

ANY_OTHER_VALUE = "\x00any other value"


def check(contract: Contract, tools: Mapping[str, Tool]) -> None:
    """Raise `ContractError`, naming what to mend, where the contract is wrong."""
    _check_tools(contract, tools)
    for rule in contract.rules:
        _check_rule(contract, rule, tools[rule.tool])
    for name in contract.tools:
        rules = [rule for rule in contract.rules if rule.tool == name]
        _check_table(contract, rules, tools[name])


def _check_tools(contract: Contract, tools: Mapping[str, Tool]) -> None:
    known = ", ".join(sorted(tools)) or "none"
    for name in contract.tools:
        if name not in tools:
            raise ContractError(
                f"Contract {contract.name!r}: tool {name!r} is not registered; "
                f"registered: {known}."
            )
    for rule in contract.rules:
        if rule.tool not in contract.tools:
            raise ContractError(
                f"Contract {contract.name!r}: the rule “{rule}” speaks of a tool that "
                f"the contract does not grant; granted: {', '.join(contract.tools)}."
            )


def _check_rule(contract: Contract, rule: Rule, tool: Tool) -> None:
    where = f"Contract {contract.name!r}: the rule “{rule}”"
    if not tool.is_action:
        raise ContractError(f"{where} judges a read; reads need no rule, drop it.")
    if rule.up_to and tool.money is None:
        raise ContractError(
            f"{where} has up_to, but tool {tool.name!r} declares no money."
        )
    chain = [rule.role, *(step.role for step in rule.escalate)]
    for before, after in pairwise(chain):
        if APPROVER_RANK[after] < APPROVER_RANK[before]:
            raise ContractError(
                f"{where} escalates from {before} down to {after}; what nobody answered "
                "goes to the same role or a higher one."
            )
    for name in rule.when:
        if name not in tool.input.model_fields:
            raise ContractError(
                f"{where} looks at {name!r}, which tool {tool.name!r} has not; it has: "
                f"{', '.join(tool.input.model_fields)}."
            )


def _check_table(contract: Contract, rules: Sequence[Rule], tool: Tool) -> None:
    hit: set[int] = set()
    for _, row in groupby(_cells(rules, tool), key=lambda cell: cell[0]):
        _check_row(contract, rules, [action for _, action in row])
    for _, action in _cells(rules, tool):
        hit |= {next((i for i, r in enumerate(rules) if matches(r, action)), -1)}
    for index, rule in enumerate(rules):
        if index not in hit:
            raise ContractError(
                f"Contract {contract.name!r}: the rule “{rule}” is dead: an earlier "
                "rule decides all that it matches. Move it up or drop it."
            )


def _check_row(
    contract: Contract, rules: Sequence[Rule], actions: Sequence[Action]
) -> None:
    for lower, higher in pairwise(actions):
        below, above = judge(rules, lower), judge(rules, higher)
        if is_stricter(below, above):
            raise ContractError(
                f"Contract {contract.name!r}: {higher.tool} of {higher.money} is judged "
                f"“{above.rule}”, looser than {lower.money}: “{below.rule}”. A higher "
                "amount must not be easier."
            )


def _cells(
    rules: Sequence[Rule], tool: Tool
) -> Iterator[tuple[tuple[object, ...], Action]]:
    """Yield one action for each cell of the table, amounts rising within a row."""
    values = _values(rules)
    combinations = list(product(*values.values()))
    currencies = sorted({r.up_to.currency for r in rules if r.up_to}) or ["USD"]
    if len(combinations) * len(currencies) * (len(rules) + 1) > LARGEST_TABLE:
        raise ContractError(
            f"The rules of {tool.name!r} make a table of more than {LARGEST_TABLE} "
            "cells; name fewer values."
        )
    for combination, currency in product(combinations, currencies):
        arguments = dict(zip(values, combination, strict=True))
        for amount in _amounts(rules, currency):
            money = Money(amount, currency) if tool.money is not None else None
            yield (
                (*combination, currency),
                Action(tool=tool.name, arguments=dict(arguments), money=money),
            )


def _values(rules: Sequence[Rule]) -> dict[str, list[Scalar]]:
    values: dict[str, list[Scalar]] = {}
    for rule in rules:
        for name, want in rule.when.items():
            wanted = want if isinstance(want, frozenset) else frozenset({want})
            values.setdefault(name, [ANY_OTHER_VALUE]).extend(wanted)
    return {name: list(dict.fromkeys(found)) for name, found in values.items()}


def _amounts(rules: Sequence[Rule], currency: str) -> list[int]:
    """Return each threshold and the amount above it, rising."""
    bounds = {r.up_to.amount for r in rules if r.up_to and r.up_to.currency == currency}
    return sorted({1} | bounds | {bound + 1 for bound in bounds})
