"""Rules in order: the first match decides; without a match, the action is denied."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.dataclasses import dataclass

from keyturn.orchestrator.rules.contract.declared import Count, Flag, Length, Said
from keyturn.orchestrator.rules.errors import ContractError
from keyturn.orchestrator.rules.money.money import Money, format_minor

Role = Literal["agent", "lead", "operator", "developer", "auditor", "admin"]
VerdictKind = Literal["allow", "ask", "deny"]
Scalar = str | int | bool

# A higher rank may act for a lower one: a lead for an agent, not the reverse.
APPROVER_RANK: Mapping[str, int] = {"agent": 1, "lead": 2, "admin": 3}
DEFAULT_WITHIN = timedelta(hours=4)


@dataclass(frozen=True, config={"extra": "forbid"})
class Escalation:
    """Who is asked next where nobody answered in time, and for how long."""

    role: Role
    within: Length = DEFAULT_WITHIN

    def __post_init__(self) -> None:
        """Refuse a role that may not approve."""
        if self.role not in APPROVER_RANK:
            raise ContractError(
                f"An escalation names the role {self.role!r}, which may not approve; "
                f"write one of {', '.join(APPROVER_RANK)}."
            )


@dataclass(frozen=True, config={"extra": "forbid"})
class Rule:
    """One line of a policy.

    `up_to` matches amounts of its currency alone, judged with what has already moved
    for the same subject and customer. `when` matches arguments by equality: a constant,
    or a set of them. `approvers` makes the verdict `ask`; `escalate` names who is asked
    next, one after the other, before it expires. With `assign` the system picks each
    approver, so that nobody chooses whom to ask.
    """

    tool: Said
    up_to: Money | None = None
    when: dict[str, Scalar | Annotated[frozenset[Scalar], Field(min_length=1)]] = field(
        default_factory=dict
    )
    verdict: VerdictKind = "ask"
    approvers: Annotated[Count, Field(ge=0, le=5)] = 0
    role: Role = "agent"
    within: Length = DEFAULT_WITHIN
    escalate: tuple[Escalation, ...] = ()
    assign: Flag = False

    def __post_init__(self) -> None:
        """Refuse a rule that contradicts itself."""
        if self.verdict == "ask" and self.approvers == 0:
            raise ContractError(
                f"{self} names no approvers: write approvers=1 or more, or a verdict."
            )
        if self.verdict != "ask" and self.approvers:
            raise ContractError(
                f"{self} has both the verdict {self.verdict!r} and approvers; remove one."
            )
        if self.verdict != "ask" and self.escalate:
            raise ContractError(
                f"{self} has the verdict {self.verdict!r} and nobody to escalate from; "
                "remove escalate, or write approvers=1 or more."
            )
        if self.verdict != "ask" and self.assign:
            raise ContractError(
                f"{self} has the verdict {self.verdict!r} and nobody to assign it to; "
                "remove assign, or write approvers=1 or more."
            )
        if self.approvers and self.role not in APPROVER_RANK:
            raise ContractError(
                f"{self} names the role {self.role!r}, which may not approve; write one "
                f"of {', '.join(APPROVER_RANK)}."
            )

    def __str__(self) -> str:
        """Return the rule as an approver reads it."""
        parts = [self.tool]
        parts += [f"up to {self.up_to}"] if self.up_to else []
        parts += [f"when {name} is {_words(want)}" for name, want in self.when.items()]
        return f"{' '.join(parts)}: {self._verdict_words()}"

    def _verdict_words(self) -> str:
        if self.verdict != "ask":
            return self.verdict
        people = "person" if self.approvers == 1 else "people"
        chain = "".join(
            f", after {length(before)} of role {step.role}"
            for before, step in zip(
                [self.within, *(one.within for one in self.escalate)],
                self.escalate,
                strict=False,
            )
        )
        picked = ", picked by the system" if self.assign else ""
        return f"ask {self.approvers} {people} of role {self.role}{picked}{chain}"


class Earlier(BaseModel):
    """Money that moved before, and counted; `at` is when, as far as it is known."""

    model_config = ConfigDict(frozen=True)

    amount: int
    currency: str
    at: datetime
    is_certain: bool = True

    def __str__(self) -> str:
        """Return it as a model and a person read it."""
        at = self.at.astimezone(UTC)
        when = f"{at.day} {at:%B %Y, %H:%M} UTC"
        known = "" if self.is_certain else " (not known yet to have moved)"
        return f"{format_minor(self.amount, self.currency)} on {when}{known}"


class Counted(BaseModel):
    """What counted before, newest first; `is_all` where there is nothing else."""

    model_config = ConfigDict(frozen=True)

    earlier: tuple[Earlier, ...] = ()
    is_all: bool = True

    def __str__(self) -> str:
        """Return it as a sentence; an empty text where nothing counted."""
        parts = [str(one) for one in self.earlier]
        if not self.is_all:
            parts.append(f"{'more' if parts else 'money'} that is not shown here")
        return f"Counted before: {'; '.join(parts)}." if parts else ""


class Verdict(BaseModel):
    """What a policy says of one action, and the rule that said it.

    A denial has what `counted` before, which may be why.
    """

    model_config = ConfigDict(frozen=True)

    kind: VerdictKind
    approvers: int = 0
    role: Role = "agent"
    within: timedelta = DEFAULT_WITHIN
    escalate: tuple[Escalation, ...] = ()
    assign: bool = False
    rule: str
    counted: Counted | None = None

    @property
    def words(self) -> str:
        """Return the rule, and what counted before, as a model and a person read it."""
        counted = str(self.counted) if self.counted else ""
        return f"{self.rule}. {counted}".rstrip()

    @property
    def strictness(self) -> tuple[int, int, int, bool]:
        """Return a sort key that is greater for a stricter verdict."""
        kind = ("allow", "ask", "deny").index(self.kind)
        if self.kind != "ask":
            return kind, 0, 0, False
        return kind, self.approvers, APPROVER_RANK[self.role], self.assign


REPEATED = "an earlier action on the same subject is done"
NO_RULE = Verdict(kind="deny", rule="no rule matches, so it is denied")
# A tool that moves money without saying how much is not judged by its other rules.
NO_AMOUNT = Verdict(kind="deny", rule="how much it would move is not known")


class Action(BaseModel):
    """What policy looks at: the tool, its arguments and the money it would move.

    `moved` is what has already moved, in minor units of the same currency, for the
    same subject and customer; `mixed` tells that some moved in another currency, which
    cannot be added to it; `repeated` that an effect on the same subject is done.
    """

    model_config = ConfigDict(frozen=True)

    tool: str
    arguments: dict[str, JsonValue]
    money: Money | None = None
    moved: int = Field(default=0, ge=0)
    mixed: bool = False
    repeated: bool = False


def judge(rules: Sequence[Rule], action: Action) -> Verdict:
    """Return the verdict of the first rule that matches `action`.

    A rule may depend on a field that the action lacks: its verdict counts too, so that
    leaving a field out never makes a verdict looser.
    """
    lacking: list[Rule] = []
    for rule in rules:
        if matches(rule, action):
            return _verdict([rule, *lacking], action)
        if _lacks(rule, action):
            lacking.append(rule)
    return NO_RULE


def _verdict(rules: Sequence[Rule], action: Action) -> Verdict:
    return strictest(*(_of_rule(rule, action) for rule in rules))


def _of_rule(rule: Rule, action: Action) -> Verdict:
    if rule.verdict == "allow" and action.repeated:
        return _asked_because(REPEATED)
    if rule.verdict == "allow" and action.mixed:
        return _asked_because("money has moved in another currency as well")
    return Verdict(
        kind=rule.verdict,
        approvers=rule.approvers,
        role=rule.role,
        within=rule.within,
        escalate=rule.escalate,
        assign=rule.assign,
        rule=str(rule),
    )


def _lacks(rule: Rule, action: Action) -> bool:
    """Return whether a field is missing without which `rule` might match."""
    if rule.tool != action.tool:
        return False
    if any(
        name in action.arguments and not _equals(want, action.arguments[name])
        for name, want in rule.when.items()
    ):
        return False
    has_all = all(name in action.arguments for name in rule.when)
    return not has_all or (rule.up_to is not None and action.money is None)


def _asked_because(rule: str) -> Verdict:
    return Verdict(kind="ask", approvers=1, rule=rule)


def strictest(*verdicts: Verdict) -> Verdict:
    """Return the strictest verdict, under the first such rule.

    Two `ask` verdicts may differ: one wants more people, the other a higher role. Then
    both are required, and nobody below that role is escalated to.
    """
    first = max(verdicts, key=lambda verdict: verdict.strictness)
    if first.kind != "ask":
        return first
    asks = [verdict for verdict in verdicts if verdict.kind == "ask"]
    role = max((one.role for one in asks), key=lambda r: APPROVER_RANK[r])
    return first.model_copy(
        update={
            "approvers": max(one.approvers for one in asks),
            "role": role,
            "within": min(one.within for one in asks),
            "assign": any(one.assign for one in asks),
            "escalate": tuple(
                step
                for step in first.escalate
                if APPROVER_RANK[step.role] >= APPROVER_RANK[role]
            ),
        }
    )


def is_stricter(one: Verdict, than: Verdict) -> bool:
    """Return whether `one` requires anything that `than` does not."""
    kinds = ("allow", "ask", "deny")
    if one.kind != "ask" or than.kind != "ask":
        return kinds.index(one.kind) > kinds.index(than.kind)
    higher = APPROVER_RANK[one.role] > APPROVER_RANK[than.role]
    picked = one.assign and not than.assign
    return one.approvers > than.approvers or higher or picked


def matches(rule: Rule, action: Action) -> bool:
    """Return whether `rule` matches `action`; a missing field never matches."""
    if rule.tool != action.tool:
        return False
    if not all(
        name in action.arguments and _equals(want, action.arguments[name])
        for name, want in rule.when.items()
    ):
        return False
    return rule.up_to is None or _within(rule.up_to, action)


def _within(up_to: Money, action: Action) -> bool:
    money = action.money
    if money is None or money.currency != up_to.currency:
        return False
    return money.amount + action.moved <= up_to.amount


def _equals(want: Scalar | frozenset[Scalar], value: JsonValue) -> bool:
    wanted = want if isinstance(want, frozenset) else frozenset({want})
    # True == 1 in Python; a rule about a flag must not match a number.
    return any(type(one) is type(value) and one == value for one in wanted)


def length(time: timedelta) -> str:
    """Return a length of time in its largest whole unit."""
    units = {"days": "d", "hours": "h", "minutes": "min", "seconds": "s"}
    for unit, short in units.items():
        one = timedelta(**{unit: 1})
        if time % one == timedelta(0):
            return f"{time // one} {short}"
    return f"{time.total_seconds():g} s"


def _words(want: Scalar | frozenset[Scalar]) -> str:
    if isinstance(want, frozenset):
        return "one of " + ", ".join(sorted(str(one) for one in want))
    return str(want)
