"""A policy as rows: each combination of arguments and currency, in rising amounts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from pydantic import JsonValue

from keyturn.orchestrator.rules.contract.release import ToolSpec
from keyturn.orchestrator.rules.errors import ContractError
from keyturn.orchestrator.rules.money.currency import PLACES
from keyturn.orchestrator.rules.money.money import LARGEST_AMOUNT, Money
from keyturn.orchestrator.rules.policy.rules import Action, Rule, matches
from keyturn.orchestrator.rules.text import canonical

# The person who owns the policy could not read a table with more cells, either.
LARGEST_TABLE = 20_000
# Stands for all values that no rule names. It equals no argument: arguments contain no
# control characters.
ANY_OTHER_VALUE = "\x00any other value"
# The first of these that no rule names represents all the unnamed ones.
OTHER_CURRENCIES = tuple(sorted(PLACES))


_OF_TYPE: dict[str, list[JsonValue]] = {"boolean": [False, True], "null": [None]}


@dataclass(frozen=True)
class Row:
    """One combination of arguments in one currency; `currency` None moves no money.

    With `is_any_currency` its currency represents all that no rule names. `starts` are
    the lowest amounts of the row's bands: the verdict is the same from one to the next,
    and the last band has no end.
    """

    tool: str
    arguments: Mapping[str, JsonValue]
    currency: str | None
    is_any_currency: bool
    starts: tuple[int, ...]

    def action(self, amount: int, *, moved: int = 0, repeated: bool = False) -> Action:
        """Return an action of this row that would move `amount`."""
        return Action(
            tool=self.tool,
            arguments=dict(self.arguments),
            money=Money(amount, self.currency) if self.currency else None,
            moved=moved,
            repeated=repeated,
        )

    def actions(self) -> Iterator[Action]:
        """Yield one action for each band, amounts rising."""
        yield from (self.action(start) for start in self.starts)


def rows(rules: Sequence[Rule], spec: ToolSpec) -> list[Row]:
    """Return the rows of one tool's table, values in the order of the rules.

    Raises `ContractError` where the table is too large to be read.
    """
    rules = [rule for rule in rules if rule.tool == spec.name]
    domains = {name: domain(rules, spec, name) for name in _looked_at(rules)}
    combinations = list(product(*domains.values()))
    currencies = _currencies(rules, spec)
    if len(combinations) * len(currencies) * (len(rules) + 1) > LARGEST_TABLE:
        raise ContractError(
            f"The rules of {spec.name!r} make a table of more than {LARGEST_TABLE} "
            "cells; name fewer values."
        )
    return [
        Row(
            tool=spec.name,
            arguments=dict(zip(domains, combination, strict=True)),
            currency=currency,
            is_any_currency=is_any,
            starts=_starts(rules, currency),
        )
        for combination, (currency, is_any) in product(combinations, currencies)
    ]


def deciding(rules: Sequence[Rule], action: Action) -> int | None:
    """Return the index of the rule that decides about `action`, or None."""
    return next((i for i, one in enumerate(rules) if matches(one, action)), None)


def domain(rules: Sequence[Rule], spec: ToolSpec, name: str) -> list[JsonValue]:
    """Return the values of a field that rules distinguish, each once.

    A field with a closed set of values has those; any other has the values that rules
    name and `ANY_OTHER_VALUE`.
    """
    found = closed_values(spec, name)
    if found is None:
        found = [*(value for rule in rules for value in _wanted(rule, name))]
        found.append(ANY_OTHER_VALUE)
    # Compared as bytes: Python treats True and 1 as equal.
    return list({canonical.encode(value): value for value in found}.values())


def field_schema(spec: ToolSpec, name: str) -> dict[str, JsonValue] | None:
    """Return the JSON Schema of an argument, or None where there is no such field."""
    properties = spec.parameters.get("properties")
    found = properties.get(name) if isinstance(properties, dict) else None
    return found if isinstance(found, dict) else None


def closed_values(spec: ToolSpec, name: str) -> list[JsonValue] | None:
    """Return all values that a field can have, or None where they are not listed."""
    defs = spec.parameters.get("$defs")
    return _closed(field_schema(spec, name), defs if isinstance(defs, dict) else {})


def _closed(node: JsonValue, defs: Mapping[str, JsonValue]) -> list[JsonValue] | None:
    match node:
        case {"$ref": str(ref)}:
            return _closed(defs.get(ref.rpartition("/")[2]), defs)
        case {"enum": [*values]}:
            return values
        case {"anyOf": [*options]}:
            each = [_closed(option, defs) for option in options]
            listed = [value for values in each for value in values or ()]
            return None if None in each else listed
        case {"const": _} | {"type": "boolean"} | {"type": "null"}:
            return [node["const"]] if "const" in node else _OF_TYPE[str(node["type"])]
        case _:
            return None


def _looked_at(rules: Sequence[Rule]) -> list[str]:
    return list(dict.fromkeys(name for rule in rules for name in rule.when))


def _wanted(rule: Rule, name: str) -> list[JsonValue]:
    want = rule.when.get(name)
    if want is None:
        return []
    return sorted(want, key=str) if isinstance(want, frozenset) else [want]


def _currencies(rules: Sequence[Rule], spec: ToolSpec) -> list[tuple[str | None, bool]]:
    if spec.money is None:
        return [(None, False)]
    named = list(dict.fromkeys(rule.up_to.currency for rule in rules if rule.up_to))
    other = next((one for one in OTHER_CURRENCIES if one not in named), None)
    rest: list[tuple[str | None, bool]] = [(other, True)] if other else []
    return [*((one, False) for one in named), *rest]


def _starts(rules: Sequence[Rule], currency: str | None) -> tuple[int, ...]:
    """Return 1 and the amount just above each bound, rising."""
    bounds = {r.up_to.amount for r in rules if r.up_to and r.up_to.currency == currency}
    above = {bound + 1 for bound in bounds if bound < LARGEST_AMOUNT}
    return tuple(sorted({1} | above))
