"""What is wrong with a contract, found before a worker takes work."""

from collections.abc import Iterable, Mapping
from itertools import pairwise

from orchestrator import policy_check, release
from orchestrator.contract import Contract
from orchestrator.errors import ContractError
from orchestrator.policy import APPROVER_RANK, Rule
from orchestrator.tool import Tool


def check(contract: Contract, tools: Mapping[str, Tool]) -> None:
    """Raise `ContractError`, naming what to mend, where the contract is wrong."""
    _check_tools(contract, tools)
    _check_services(contract, tools)
    for rule in contract.rules:
        _check_rule(contract, rule, tools[rule.tool])
    specs = {name: release.spec(tools[name]) for name in contract.tools}
    for spec in specs.values():
        if spec.is_action:
            policy_check.check(contract.name, contract.rules, spec, contract.limits)
    for limit in contract.limits:
        policy_check.check_limit(contract.name, limit, contract.rules, specs)


def _check_tools(contract: Contract, tools: Mapping[str, Tool]) -> None:
    known = ", ".join(sorted(tools)) or "none"
    for name in contract.tools:
        if name not in tools:
            raise ContractError(
                f"Contract {contract.name!r}: tool {name!r} is not registered; "
                f"registered: {known}."
            )
        by = tools[name].compensate
        if by and (by.tool not in contract.tools or not tools[by.tool].is_action):
            raise ContractError(
                f"Contract {contract.name!r}: {name} is compensated by {by.tool!r}, "
                "which must be an action that the contract grants; granted: "
                f"{', '.join(contract.tools)}."
            )
    for rule in contract.rules:
        if rule.tool not in contract.tools:
            raise ContractError(
                f"Contract {contract.name!r}: the rule “{rule}” speaks of a tool that "
                f"the contract does not grant; granted: {', '.join(contract.tools)}."
            )


def _check_services(contract: Contract, tools: Mapping[str, Tool]) -> None:
    known = {tools[name].service for name in contract.tools} - {None}
    for name in sorted(contract.separates_tenants - known):
        raise ContractError(
            f"Contract {contract.name!r} says that the service {name!r} separates "
            "tenants, but none of its tools declares that service; declared: "
            f"{', '.join(sorted(one for one in known if one)) or 'none'}."
        )


def check_agreement(contracts: Iterable[Contract], tools: Mapping[str, Tool]) -> None:
    """Raise `ContractError` where two contracts differ on what separates tenants."""
    said: dict[str, tuple[str, bool]] = {}
    for contract in contracts:
        for service in sorted({tools[name].service or "" for name in contract.tools}):
            is_apart = service in contract.separates_tenants
            other, was = said.setdefault(service, (contract.name, is_apart))
            if was != is_apart:
                raise ContractError(
                    f"Contracts {other!r} and {contract.name!r} differ on whether the "
                    f"service {service!r} separates tenants; write it in both, or in "
                    "neither: limits and subjects are one for both."
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
    fields = release.spec(tool).parameters.get("properties")
    known = tuple(fields) if isinstance(fields, dict) else ()
    for name in rule.when:
        if name not in known:
            raise ContractError(
                f"{where} looks at {name!r}, which tool {tool.name!r} has not; it has: "
                f"{', '.join(known)}."
            )
