"""The verdict on an action: the strictest of every release's policy and of switches.

This is the one place that combines them (P11): a draft, an edit and the lease ask here.
"""

from collections.abc import Iterable, Sequence

from keyturn.orchestrator.rules.authority.switch import Switch
from keyturn.orchestrator.rules.policy.rules import (
    Action,
    Rule,
    Verdict,
    judge,
    strictest,
)


def combine(
    policies: Iterable[Sequence[Rule]], action: Action, covering: Iterable[Switch]
) -> Verdict:
    """Return the strictest of each policy and of the switches that cover the action."""
    asking = [one for one in covering if one.mode == "require_approval"]
    return strictest(*(judge(rules, action) for rules in policies), *map(_asks, asking))


def of_draft(found: Verdict, off: Switch | None) -> Verdict:
    """Return the verdict on a new draft: what a switch disables begins nothing."""
    if off is None:
        return found
    return strictest(found, Verdict(kind="deny", rule=f"switched off: {off.reason}"))


def no_looser(asked: Verdict, found: Verdict) -> Verdict:
    """Return `found`, and no less than what people were asked for before."""
    return strictest(asked, found)


def _asks(switch: Switch) -> Verdict:
    rule = f"switch {switch.id}: {switch.reason}"
    return Verdict(kind="ask", approvers=1, rule=rule)
