"""A policy as a table: the verdict on each amount, with both sides of each boundary."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict, JsonValue

from keyturn.orchestrator.rules.contract.release import Release, ToolSpec
from keyturn.orchestrator.rules.money.budget import Limit
from keyturn.orchestrator.rules.money.money import Money, format_minor
from keyturn.orchestrator.rules.policy.grid import (
    ANY_OTHER_VALUE,
    Row,
    deciding,
    domain,
    rows,
)
from keyturn.orchestrator.rules.policy.rules import (
    Rule,
    Verdict,
    VerdictKind,
    judge,
    length,
)
from keyturn.orchestrator.rules.text import canonical

NO_RULE_WORDS = "denied: no rule matches"


class Example(BaseModel):
    """One amount and what becomes of it; `moved` is what had moved before."""

    model_config = ConfigDict(frozen=True)

    amount: Money
    moved: Money | None = None
    verdict: str
    text: str


class Line(BaseModel):
    """A line of the table: where it holds, from which amount to which, and what then.

    `where` is empty where it always holds. `again` is what becomes of it where an
    earlier action on the same subject is done, if that differs. `shared` are examples
    with half of the bound moved before: what moved counts. `limit` is the one that
    refuses amounts of this line, whatever people say.
    """

    model_config = ConfigDict(frozen=True)

    where: str
    amounts: str
    kind: VerdictKind
    verdict: str
    again: str | None
    rule: str | None
    examples: tuple[Example, ...]
    shared: tuple[Example, ...] = ()
    limit: str | None = None


class ToolTable(BaseModel):
    """The lines of one tool, as an owner reads them."""

    model_config = ConfigDict(frozen=True)

    tool: str
    lines: tuple[Line, ...]


def of_release(release: Release) -> list[ToolTable]:
    """Return the table of each action that the release grants."""
    return [
        draw(release.rules, spec, release.limits)
        for spec in release.tools
        if spec.is_action
    ]


def draw(
    rules: Sequence[Rule], spec: ToolSpec, limits: Sequence[Limit] = ()
) -> ToolTable:
    """Return the table of one tool; without rules it has one line, a denial."""
    own = [rule for rule in rules if rule.tool == spec.name]
    drawing = _Drawing(own, spec, limits)
    return ToolTable(tool=spec.name, lines=tuple(drawing.lines()))


def words(verdict: Verdict) -> str:
    """Return a verdict as an owner reads it: `2 leads within 4 h`."""
    if verdict.kind == "allow":
        return "allowed"
    if verdict.kind == "deny":
        return "denied"
    people = (
        f"{verdict.approvers} {verdict.role}{'' if verdict.approvers == 1 else 's'}"
    )
    picked = ", picked by the system" if verdict.assign else ""
    chain = "".join(
        f", then {step.role} within {length(step.within)}" for step in verdict.escalate
    )
    return f"{people} within {length(verdict.within)}{picked}{chain}"


@dataclass(frozen=True)
class _Band:
    """Amounts of a row that one rule decides; `most` None has no end."""

    least: int
    most: int | None
    rule: int | None


@dataclass(frozen=True)
class _Block:
    """Rows that read alike: the values of each field that share these bands."""

    row: Row
    values: dict[str, tuple[JsonValue, ...]]
    bands: tuple[_Band, ...]


class _Drawing:
    def __init__(
        self, rules: Sequence[Rule], spec: ToolSpec, limits: Sequence[Limit]
    ) -> None:
        self._rules = rules
        self._spec = spec
        self._limits = limits

    def lines(self) -> list[Line]:
        blocks = [self._block(row) for row in rows(self._rules, self._spec)]
        if blocks:
            for name in blocks[0].values:
                blocks = _merged(blocks, name)
        return [
            self._line(block, place)
            for block in blocks
            for place in range(len(block.bands))
        ]

    def _block(self, row: Row) -> _Block:
        values = {name: (value,) for name, value in row.arguments.items()}
        return _Block(row, values, tuple(self._bands(row)))

    def _bands(self, row: Row) -> list[_Band]:
        bands: list[_Band] = []
        ends = [start - 1 for start in row.starts[1:]]
        for start, most in zip(row.starts, [*ends, None], strict=True):
            rule = deciding(self._rules, row.action(start))
            if bands and bands[-1].rule == rule:
                bands[-1] = replace(bands[-1], most=most)
            else:
                bands.append(_Band(start, most, rule))
        return bands

    def _line(self, block: _Block, place: int) -> Line:
        row, band = block.row, block.bands[place]
        verdict = judge(self._rules, row.action(band.least))
        return Line(
            where=self._where(block),
            amounts=self._amounts(row, band),
            kind=verdict.kind,
            verdict=self._words(row, band.least),
            again=self._again(row, band, verdict),
            rule=str(self._rules[band.rule]) if band.rule is not None else None,
            examples=self._examples(row, band),
            shared=self._shared(row, band),
            limit=self._limit(row, band) if verdict.kind != "deny" else None,
        )

    def _again(self, row: Row, band: _Band, verdict: Verdict) -> str | None:
        again = judge(self._rules, row.action(band.least, repeated=True))
        is_other = self._spec.subject is not None and again.kind != verdict.kind
        return words(again) if is_other else None

    def _limit(self, row: Row, band: _Band) -> str | None:
        """Return the tightest limit that some amount of the band would exceed."""
        fitting = [one for one in self._limits if one.money.currency == row.currency]
        if not fitting:
            return None
        least = min(fitting, key=lambda one: one.money.amount)
        if band.most is not None and band.most <= least.money.amount:
            return None
        return f"{least.money} per {least.per} within {length(least.within)}"

    def _where(self, block: _Block) -> str:
        said: list[str] = []
        for name, values in block.values.items():
            if len(values) == len(domain(self._rules, self._spec, name)):
                continue
            is_rest = ANY_OTHER_VALUE in values
            named = [_value(one) for one in values if one != ANY_OTHER_VALUE]
            said.append(
                f"{name} is {' or '.join([*named, *['anything else'] * is_rest])}"
            )
        return " and ".join(said)

    def _amounts(self, row: Row, band: _Band) -> str:
        if row.currency is None:
            return ""
        if row.is_any_currency:
            is_only = not any(rule.up_to for rule in self._rules)
            return "any amount" if is_only else "any amount in another currency"
        least = format_minor(band.least, row.currency)
        if band.most is None:
            return "any amount" if band.least == 1 else f"{least} and more"
        most = format_minor(band.most, row.currency)
        return f"up to {most}" if band.least == 1 else f"{least} to {most}"

    def _examples(self, row: Row, band: _Band) -> tuple[Example, ...]:
        """Return the band's first and last amount: each is one side of a boundary."""
        if row.currency is None or row.is_any_currency:
            return ()
        sides = [band.least, *([band.most] if band.most is not None else [])]
        return tuple(
            self._example(row, Money(side, row.currency))
            for side in dict.fromkeys(sides)
        )

    def _shared(self, row: Row, band: _Band) -> tuple[Example, ...]:
        """Return both sides of the bound again, with half of it moved before."""
        if row.currency is None or band.most is None or band.most < 2:
            return ()
        half = band.most // 2
        rest = band.most - half
        return tuple(
            self._example(row, Money(amount, row.currency), moved=half)
            for amount in (rest, rest + 1)
        )

    def _example(self, row: Row, money: Money, *, moved: int = 0) -> Example:
        verdict = self._words(row, money.amount, moved=moved)
        before = Money(moved, money.currency) if moved else None
        after = f" after {before} moved" if before else ""
        return Example(
            amount=money,
            moved=before,
            verdict=verdict,
            text=f"{money}{after}: {verdict}",
        )

    def _words(self, row: Row, amount: int, *, moved: int = 0) -> str:
        action = row.action(amount, moved=moved)
        if deciding(self._rules, action) is None:
            return NO_RULE_WORDS
        return words(judge(self._rules, action))


def _merged(blocks: Sequence[_Block], name: str) -> list[_Block]:
    """Merge blocks that differ in only one field and read alike."""
    joined: dict[str, _Block] = {}
    for block in blocks:
        rest = {other: v for other, v in block.values.items() if other != name}
        key = canonical.text([_plain(rest), block.row.currency, repr(block.bands)])
        known = joined.get(key)
        if known is None:
            joined[key] = block
            continue
        values = {**known.values, name: (*known.values[name], *block.values[name])}
        joined[key] = replace(known, values=values)
    return list(joined.values())


def _plain(values: dict[str, tuple[JsonValue, ...]]) -> JsonValue:
    return {name: list(each) for name, each in values.items()}


def _value(value: JsonValue) -> str:
    return value if isinstance(value, str) else canonical.text(value)
