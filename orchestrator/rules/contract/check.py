"""Checks a contract before a worker takes work."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from types import NoneType
from typing import get_args

from keyturn.orchestrator.rules.contract import model_check, release, tool_check
from keyturn.orchestrator.rules.contract.contract import Contract
from keyturn.orchestrator.rules.contract.model_check import Declared
from keyturn.orchestrator.rules.contract.tool import DataClass, Tool
from keyturn.orchestrator.rules.errors import ContractError
from keyturn.orchestrator.rules.policy import check as policy_check
from keyturn.orchestrator.rules.policy.rules import APPROVER_RANK, Rule


def check(contract: Contract, tools: Mapping[str, Tool]) -> None:
    """Raise `ContractError`, naming what to repair, where the contract is wrong."""
    _check_tools(contract, tools)
    _check_confidence(contract)
    _check_services(contract, tools)
    _check_models(contract, tools)
    _check_compensations(contract, tools)
    for rule in contract.rules:
        _check_rule(contract, rule, tools[rule.tool])
    specs = {name: release.spec(tools[name]) for name in contract.tools}
    for spec in specs.values():
        if spec.is_action:
            policy_check.check(contract.name, contract.rules, spec, contract.limits)
    for limit in contract.limits:
        policy_check.check_limit(contract.name, limit, contract.rules, specs)


def _check_models(contract: Contract, tools: Mapping[str, Tool]) -> None:
    """Check each model, and that never-seen data exists and is not asked for."""
    never, where = contract.never_sees, f"Contract {contract.name!r}:"
    carried = model_check.check(Declared(f"{where} input", contract.input), never)
    asked = [Declared(f"{where} output", contract.output, by_model=True)]
    for name in contract.tools:
        tool = tools[name]
        carried |= model_check.check(
            Declared(f"{where} tool {name!r}, result", tool.output, "serialization"),
            never,
        )
        if tool.facts is not None:
            carried |= model_check.check(
                Declared(f"{where} tool {name!r}, facts", tool.facts, "serialization"),
                never,
            )
        asked.append(
            Declared(f"{where} tool {name!r}, call", tool.input, by_model=True)
        )
    for declared in asked:
        _check_written(declared, never)
    unknown = sorted(never - carried)
    if unknown:
        raise ContractError(
            f"{where} never_sees names {', '.join(map(repr, unknown))}, but no field of "
            "its input, its tools' results or their facts has this mark; marks found: "
            f"{', '.join(sorted(carried)) or 'none'}. Correct the name, or mark the "
            "field with DataClass."
        )
    _check_customer(contract)


def _check_written(declared: Declared, never: frozenset[str]) -> None:
    # A model's own output cannot hold data that it never sees: nothing to follow.
    both = sorted(model_check.check(declared, frozenset()) & never)
    if both:
        raise ContractError(
            f"{declared.name} has a field marked {both[0]!r}, which the contract's "
            "never_sees excludes; the model writes this field itself, so remove the "
            "field or its mark."
        )


def _check_customer(contract: Contract) -> None:
    for label in ("customer", "contact"):
        name = getattr(contract, label)
        field = contract.input.model_fields.get(name) if name else None
        if field is not None and (field.alias or field.validation_alias):
            raise ContractError(
                f"Contract {contract.name!r}: its {label} {name!r} has another name "
                "in JSON, so it would be read as empty; remove the alias."
            )
    field = contract.input.model_fields[contract.customer]
    held = {one.name for one in field.metadata if isinstance(one, DataClass)}
    if held & contract.never_sees:
        raise ContractError(
            f"Contract {contract.name!r}: its customer {contract.customer!r} is marked "
            f"{min(held)!r}, which never_sees excludes, but every page shows it; name "
            "a field with an id instead."
        )


def _check_compensations(contract: Contract, tools: Mapping[str, Tool]) -> None:
    for name in contract.tools:
        how = tools[name].compensate
        if how is None or getattr(how.arguments, "__name__", "") == "<lambda>":
            continue
        _, gives = tool_check.signature(name, "compensate", how.arguments)
        wanted = tools[how.tool].input
        if isinstance(gives, type) and not issubclass(gives, wanted):
            raise ContractError(
                f"Contract {contract.name!r}: the compensation of {name!r} returns "
                f"{gives.__name__}, but {how.tool!r} takes {wanted.__name__}."
            )


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
                f"Contract {contract.name!r}: the rule “{rule}” names a tool that the "
                f"contract does not grant; granted: {', '.join(contract.tools)}."
            )


def _check_confidence(contract: Contract) -> None:
    where, name = f"Contract {contract.name!r}:", contract.confidence
    if name is None:
        if contract.fallback.low_confidence != "hand_off":
            raise ContractError(
                f"{where} its fallback sets low_confidence, but the contract names no "
                "confidence; write confidence='…', the name of a number in the output."
            )
        return
    kind: object = contract.output.model_fields[name].annotation
    if not set(get_args(kind) or (kind,)) <= {int, float, NoneType}:
        raise ContractError(
            f"{where} its confidence {name!r} is of type {getattr(kind, '__name__', kind)}"
            "; make it a float, so that it can be compared with min_confidence."
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
    """Raise `ContractError` where two contracts differ on how tenants are separated."""
    said: dict[str, tuple[str, bool]] = {}
    for contract in contracts:
        for service in sorted({tools[name].service or "" for name in contract.tools}):
            is_apart = service in contract.separates_tenants
            other, was = said.setdefault(service, (contract.name, is_apart))
            if was != is_apart:
                raise ContractError(
                    f"Contracts {other!r} and {contract.name!r} differ on whether the "
                    f"service {service!r} separates tenants; write it in both or in "
                    "neither: both share the service's limits and subjects."
                )


def _check_rule(contract: Contract, rule: Rule, tool: Tool) -> None:
    where = f"Contract {contract.name!r}: the rule “{rule}”"
    if not tool.is_action:
        raise ContractError(f"{where} is for a read; reads need no rule, remove it.")
    if rule.up_to and tool.money is None:
        raise ContractError(
            f"{where} has up_to, but tool {tool.name!r} declares no money."
        )
    chain = [rule.role, *(step.role for step in rule.escalate)]
    for before, after in pairwise(chain):
        if APPROVER_RANK[after] < APPROVER_RANK[before]:
            raise ContractError(
                f"{where} escalates from {before} down to {after}; escalate to the same "
                "role or to a higher one."
            )
    fields = release.spec(tool).parameters.get("properties")
    known = tuple(fields) if isinstance(fields, dict) else ()
    for name in rule.when:
        if name not in known:
            raise ContractError(
                f"{where} tests {name!r}, but tool {tool.name!r} has no such argument; "
                f"it has: {', '.join(known)}."
            )
