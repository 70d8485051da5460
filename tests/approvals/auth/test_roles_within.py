"""What the store holds for a lesser role is what the permission table says."""

from typing import get_args

from keyturn.approvals.auth.permissions import ALLOWED
from keyturn.orchestrator.rules.policy.rules import APPROVER_RANK, Role
from keyturn.orchestrator.store.people.access import WITHIN
from keyturn.orchestrator.store.people.accounts import DECIDERS

ROLES = get_args(Role)
# What takes a second person, or frees what one person holds.
POWERS = ("approvals.decide", "proposals.answer", "people.manage", "switches.set")


def test_p11_a_role_is_within_another_where_it_may_and_approves_no_more() -> None:
    may = {role: {a for a in ALLOWED if role in ALLOWED[a]} for role in ROLES}
    rank = {role: APPROVER_RANK.get(role, 0) for role in ROLES}

    assert {
        role: {
            other
            for other in ROLES
            if other != role and may[other] <= may[role] and rank[other] <= rank[role]
        }
        for role in ROLES
    } == {role: set(within) for role, within in WITHIN.items()}


def test_p11_who_has_a_power_is_invited_by_two() -> None:
    assert set().union(*(ALLOWED[power] for power in POWERS)) == set(DECIDERS)
