"""What each role may do: the one table."""

from collections.abc import Mapping
from typing import Literal, get_args

from approvals.errors import MayNot
from orchestrator.policy import APPROVER_RANK, Role
from orchestrator.store.approvals import Person

Action = Literal[
    "read",
    "runs.start",
    "runs.message",
    "runs.hold",
    "runs.hold_many",
    "approvals.decide",
    "approvals.assign",
    "approvals.extend",
    "handoffs.work",
    "notes.write",
    "switches.set",
    "effects.record",
    "incidents.read",
    "incidents.manage",
    "audit.read",
    "people.manage",
    "webhooks.manage",
    "notices.manage",
    "account.own",
]

_EVERYONE: frozenset[str] = frozenset(get_args(Role))

ALLOWED: Mapping[Action, frozenset[str]] = {
    "read": _EVERYONE,
    "runs.start": _EVERYONE - {"auditor"},
    "runs.message": _EVERYONE - {"auditor"},
    "runs.hold": frozenset({"lead", "operator", "admin"}),
    "runs.hold_many": frozenset({"operator", "admin"}),
    # Of these, each approval names the least role that may decide it.
    "approvals.decide": frozenset(APPROVER_RANK),
    "approvals.assign": frozenset({"lead", "admin"}),
    "approvals.extend": frozenset({"lead", "admin"}),
    "handoffs.work": frozenset({"agent", "lead", "operator", "admin"}),
    "notes.write": _EVERYONE - {"auditor"},
    "switches.set": frozenset({"operator", "admin"}),
    "effects.record": frozenset({"lead", "operator", "admin"}),
    "incidents.read": frozenset({"auditor", "operator", "admin"}),
    "incidents.manage": frozenset({"operator", "admin"}),
    "audit.read": frozenset({"auditor", "operator", "admin"}),
    "people.manage": frozenset({"admin"}),
    # A webhook sends what happens here to elsewhere.
    "webhooks.manage": frozenset({"admin"}),
    "notices.manage": frozenset({"operator", "admin"}),
    # One's own password, sessions and tokens.
    "account.own": _EVERYONE,
}

# A service starts runs, passes on what customers write, and reads; it decides nothing.
SERVICE: frozenset[Action] = frozenset({"read", "runs.start", "runs.message"})


def may(person: Person, action: Action) -> bool:
    """Tell whether this person's role, kind and token do this."""
    if person.scopes is not None and action not in person.scopes:
        return False
    if person.kind != "person" and action not in SERVICE:
        return False
    return person.role in ALLOWED[action]


def check(person: Person, action: Action) -> None:
    """Raise `MayNot`, naming who may, where this person may not."""
    if may(person, action):
        return
    if person.scopes is not None and action not in person.scopes:
        raise MayNot(
            f"This token may not do {action}: it was made for "
            f"{', '.join(person.scopes) or 'nothing'}. Use one with the scope {action}."
        )
    if person.kind != "person":
        raise MayNot(
            f"{person.name} is a service: it starts runs and reads, and may not do "
            f"{action}. Use a person's token."
        )
    raise MayNot(
        f"Your role {person.role} may not do {action}; "
        f"{', '.join(sorted(ALLOWED[action]))} may."
    )


def granted(person: Person) -> list[Action]:
    """Return all that this person may do."""
    return [action for action in ALLOWED if may(person, action)]
