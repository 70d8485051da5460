"""Checks the rules of one tool; each kind of mistake has its own error."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, groupby, pairwise

from pydantic import JsonValue

from keyturn.orchestrator.rules.contract.release import ToolSpec
from keyturn.orchestrator.rules.errors import (
    CurrencyWithoutLimit,
    CurrencyWithoutRule,
    DeadRule,
    EvadableValue,
    InvalidValue,
    LooserVerdict,
    PolicyError,
    PolicyGap,
    RuleOnOptionalField,
    ToolWithoutRule,
    TwinTiers,
    UnboundedAllow,
    ValueNeverOccurs,
)
from keyturn.orchestrator.rules.money.budget import Limit
from keyturn.orchestrator.rules.policy.grid import (
    ANY_OTHER_VALUE,
    Row,
    closed_values,
    deciding,
    field_schema,
    rows,
)
from keyturn.orchestrator.rules.policy.rules import Rule, Verdict, is_stricter, judge
from keyturn.orchestrator.rules.text import canonical, schema


def check(
    contract: str, rules: Sequence[Rule], spec: ToolSpec, limits: Sequence[Limit]
) -> None:
    """Raise a `PolicyError` where the rules of this tool contain a mistake.

    A ceiling is no gap: where a tier ends and none follows, higher amounts are denied.
    Rules that cover only some arguments, or one currency and not another, are a gap.
    """
    rules = [rule for rule in rules if rule.tool == spec.name]
    _PolicyCheck(contract, rules, spec, limits).run()


class _PolicyCheck:
    """Checks the rules of one tool, the simplest mistakes first."""

    def __init__(
        self,
        contract: str,
        rules: Sequence[Rule],
        spec: ToolSpec,
        limits: Sequence[Limit],
    ) -> None:
        self._contract = contract
        self._rules = rules
        self._spec = spec
        self._limits = limits

    def run(self) -> None:
        if not self._rules:
            raise self._wrong(
                ToolWithoutRule,
                "it is an action without a rule, so it would always be denied. Write a "
                "rule for it, or do not grant it.",
            )
        for rule in self._rules:
            self._check_fields(rule)
            self._check_bound(rule)
        self._check_twins()
        self._rows = rows(self._rules, self._spec)
        self._check_dead()
        for row in self._rows:
            self._check_rising(row)
        self._check_spelling()
        self._check_currencies()
        self._check_gaps()
        self._check_limits()

    def _check_fields(self, rule: Rule) -> None:
        required = self._spec.parameters.get("required")
        for name, want in rule.when.items():
            if not isinstance(required, list) or name not in required:
                raise self._wrong(
                    RuleOnOptionalField,
                    f"the rule “{rule}” tests {name!r}, which is optional, and a "
                    "missing field never matches. Make the field required, without a "
                    "default, or remove the condition.",
                )
            for value in want if isinstance(want, frozenset) else (want,):
                self._check_value(rule, name, value)

    def _check_value(self, rule: Rule, name: str, value: JsonValue) -> None:
        known = closed_values(self._spec, name)
        whole = {**(field_schema(self._spec, name) or {})}
        whole["$defs"] = self._spec.parameters.get("$defs", {})
        try:
            schema.check(value, whole)
        except InvalidValue as error:
            listed = ", ".join(canonical.text(one) for one in known or ())
            raise self._wrong(
                ValueNeverOccurs,
                f"the rule “{rule}” tests {name!r} for {canonical.text(value)}, a value "
                f"that the field cannot have: {error}. "
                + (f"Write one of {listed}." if known else "Correct the value."),
            ) from None

    def _check_bound(self, rule: Rule) -> None:
        is_open = rule.verdict == "allow" and rule.up_to is None
        if self._spec.money is not None and is_open and not self._limits:
            raise self._wrong(
                UnboundedAllow,
                f"the rule “{rule}” allows any amount in any currency, and the "
                "contract has no limit. Give the rule an up_to, or the contract a "
                "Limit.",
            )

    def _check_twins(self) -> None:
        for first, second in combinations(self._rules, 2):
            if first.up_to is None or first.up_to != second.up_to:
                continue
            if _conditions(first) == _conditions(second):
                raise self._wrong(
                    TwinTiers,
                    f"the rules “{first}” and “{second}” have the same bound, so the "
                    "second never decides. Keep one, or give them different bounds.",
                )

    def _check_dead(self) -> None:
        actions = [action for row in self._rows for action in row.actions()]
        decided = [deciding(self._rules, action) for action in actions]
        for index, rule in enumerate(self._rules):
            if index in decided:
                continue
            covering = {
                before
                for action, before in zip(actions, decided, strict=True)
                if before is not None and deciding([rule], action) is not None
            }
            by = ", ".join(f"“{self._rules[i]}”" for i in sorted(covering))
            raise self._wrong(
                DeadRule,
                f"the rule “{rule}” never decides: {by or 'nothing'} comes first "
                "wherever it matches. Move it up or remove it.",
            )

    def _check_rising(self, row: Row) -> None:
        for lower, higher in pairwise(row.starts):
            for repeated in (False, True):
                below = judge(self._rules, row.action(lower, repeated=repeated))
                above = judge(self._rules, row.action(higher, repeated=repeated))
                if is_stricter(below, above):
                    raise self._wrong(
                        LooserVerdict,
                        f"{_place(row, higher)} gets the verdict “{above.rule}”, looser than "
                        f"{_place(row, lower)}: “{below.rule}”. A higher amount must "
                        "not be easier; order the rules by amount, the strictest last.",
                    )

    def _check_spelling(self) -> None:
        """Refuse rules stricter for one spelling: a model may write another."""
        for other in self._rows:
            for name, value in other.arguments.items():
                if value != ANY_OTHER_VALUE:
                    continue
                for named in self._siblings(other, name):
                    self._check_evasion(name, named, other)

    def _siblings(self, other: Row, name: str) -> Iterator[Row]:
        """Yield the rows that name a text in this field and are otherwise equal."""
        for row in self._rows:
            value = row.arguments[name]
            same = {**row.arguments, name: ANY_OTHER_VALUE} == other.arguments
            is_named = isinstance(value, str) and value != ANY_OTHER_VALUE
            if same and is_named and row.currency == other.currency:
                yield row

    def _check_evasion(self, name: str, named: Row, other: Row) -> None:
        for amount in named.starts:
            strict = judge(self._rules, named.action(amount))
            loose = judge(self._rules, other.action(amount))
            if is_stricter(strict, loose):
                raise self._wrong(
                    EvadableValue,
                    f"{name} is free text: {named.arguments[name]!r} gets the verdict "
                    f"“{strict.rule}”, any other spelling “{loose.rule}”. Make {name} "
                    "a Literal or an enum, or give all others as strict a verdict.",
                )

    def _check_currencies(self) -> None:
        named = [row for row in self._rows if not row.is_any_currency]
        for _, group in groupby(sorted(named, key=_arguments), key=_arguments):
            for row, lacks, has in self._unequal_ends(list(group)):
                raise self._wrong(
                    CurrencyWithoutRule,
                    f"{_place(row)} ends before “{lacks.rule}”, which {has.currency} "
                    f"has. Add that tier in {row.currency}, or a rule for it with the "
                    "verdict 'deny'.",
                )

    def _check_gaps(self) -> None:
        for _, group in groupby(sorted(self._rows, key=_currency), key=_currency):
            for row, lacks, has in self._unequal_ends(list(group)):
                raise self._wrong(
                    PolicyGap,
                    f"{_place(row)}: no rule matches"
                    f"{' higher amounts' if self._last(row) else ''}, while "
                    f"{_place(has)} has “{lacks.rule}”. Write a rule for it; its "
                    "verdict may be 'deny'.",
                )

    def _unequal_ends(self, among: Sequence[Row]) -> Iterator[tuple[Row, Verdict, Row]]:
        """Yield a row that ends early, another row's verdict past it, and that row."""
        for row in among:
            if self._is_closed(row):
                continue
            last = self._last(row)
            for other in among:
                further = self._beyond(row, other)
                if further is not None and (last is None or is_stricter(further, last)):
                    yield row, further, other

    def _is_closed(self, row: Row) -> bool:
        """Return whether a rule covers the highest amounts."""
        found = [deciding(self._rules, action) for action in row.actions()]
        last = next((index for index in reversed(found) if index is not None), None)
        if last is None:
            return False
        return found[-1] is not None or self._rules[last].verdict == "deny"

    def _beyond(self, row: Row, other: Row) -> Verdict | None:
        """Return the strictest verdict of `other` that permits, where `row` has ended.

        Amounts of different currencies are not compared.
        """
        if row.currency != other.currency:
            return self._last(other)
        pairs = zip(row.actions(), other.actions(), strict=True)
        given = [
            judge(self._rules, theirs)
            for mine, theirs in pairs
            if deciding(self._rules, mine) is None
        ]
        return next((one for one in reversed(given) if one.kind != "deny"), None)

    def _last(self, row: Row) -> Verdict | None:
        """Return the strictest verdict of a row among those that permit anything."""
        given = [judge(self._rules, action) for action in row.actions()]
        return next((one for one in reversed(given) if one.kind != "deny"), None)

    def _check_limits(self) -> None:
        if self._spec.money is None or not self._limits:
            return
        limited = {limit.money.currency for limit in self._limits}
        for row in self._rows:
            if row.is_any_currency or row.currency in limited:
                continue
            if self._last(row) is not None:
                raise self._wrong(
                    CurrencyWithoutLimit,
                    f"rules permit {row.currency}, but the contract limits only "
                    f"{', '.join(sorted(limited))}, and money in a currency without a "
                    f"limit is refused. Add a Limit in {row.currency}, or remove its "
                    "rules.",
                )

    def _wrong(self, error: type[PolicyError], problem: str) -> PolicyError:
        return error(contract=self._contract, tool=self._spec.name, problem=problem)


def check_limit(
    contract: str, limit: Limit, rules: Iterable[Rule], specs: Mapping[str, ToolSpec]
) -> None:
    """Raise `CurrencyWithoutRule` for a limit in a currency that no rule permits."""
    currency = limit.money.currency
    for rule in rules:
        named = rule.up_to is None or rule.up_to.currency == currency
        if named and rule.verdict != "deny" and specs[rule.tool].money is not None:
            return
    raise CurrencyWithoutRule(
        contract=contract,
        tool="(any)",
        problem=f"there is a limit of {limit.money} per {limit.per}, but no rule permits "
        f"{currency}. Write rules with up_to in {currency}, or remove the limit.",
    )


def _conditions(rule: Rule) -> dict[str, frozenset[bytes]]:
    return {
        name: frozenset(
            canonical.encode(value)
            for value in (want if isinstance(want, frozenset) else (want,))
        )
        for name, want in rule.when.items()
    }


def _arguments(row: Row) -> str:
    return canonical.text(dict(row.arguments))


def _currency(row: Row) -> str:
    return row.currency or ""


def _place(row: Row, amount: int | None = None) -> str:
    """Return a row's place in the table, in words."""
    what = "any other currency" if row.is_any_currency else row.currency
    if amount is not None:
        what = str(row.action(amount).money or "")
    values = [f"{name} is {_words(value)}" for name, value in row.arguments.items()]
    where = f"where {' and '.join(values)}" if values else ""
    return " ".join(part for part in (what, where) if part) or "every call"


def _words(value: JsonValue) -> str:
    return "any other" if value == ANY_OTHER_VALUE else canonical.text(value)
