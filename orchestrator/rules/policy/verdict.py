"""The verdict on an action: the strictest of every release's policy and of switches.

This is the only place that combines them (P11), for a draft, an edit and the lease.
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
    """Return the strictest verdict of all policies and of the covering switches."""
    asking = [one for one in covering if one.mode == "require_approval"]
    return strictest(*(judge(rules, action) for rules in policies), *map(_asks, asking))


def of_draft(found: Verdict, off: Switch | None) -> Verdict:
    """Return the verdict on a new draft: a disabling switch lets nothing new begin."""
    if off is None:
        return found
    return strictest(found, Verdict(kind="deny", rule=f"switched off: {off.reason}"))


def no_looser(asked: Verdict, found: Verdict) -> Verdict:
    """Return `found`, made at least as strict as what people were asked before."""
    return strictest(asked, found)


def _asks(switch: Switch) -> Verdict:
    rule = f"switch {switch.id}: {switch.reason}"
    return Verdict(kind="ask", approvers=1, rule=rule)
