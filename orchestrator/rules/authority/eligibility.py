"""Who may approve an action, and why a person may not (P8).

One rule for every caller: decisions, claims, assignments and pages check the person who
is signed in; the proof checks the account again, as it is when the effect starts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.policy.rules import APPROVER_RANK

Kind = Literal[
    "service",
    "tenant",
    "role",
    "benefits",
    "started",
    "edited",
    "picked",
    "steered",
    "assigned",
    "new",
]


@dataclass(frozen=True)
class Asked:
    """What an approval requires of the people who decide it.

    `not_by` gives the reason for each barred person: `edited`, `picked` or `steered`.
    """

    tenant: str
    role: str
    customer: str
    contact: str | None
    started_by: str | None
    not_by: Mapping[str, str] = field(default_factory=dict[str, str])
    is_assigned: bool = False
    assigned_to: str | None = None


@dataclass(frozen=True)
class Bar:
    """Why a person may not: `words` address them, `of_them` follows their name."""

    kind: Kind
    words: str

    @property
    def of_them(self) -> str:
        """Return the reason in the form that follows the person's name."""
        return _OF_THEM[self.kind]


_OF_THEM: Final[Mapping[Kind, str]] = {
    "service": "is not a person with an account",
    "tenant": "belongs to another tenant",
    "role": "has no role that may approve this",
    "benefits": "benefits from it",
    "started": "started the run",
    "edited": "made an edit that goes beyond the draft",
    "picked": "had the system assign it again",
    "steered": "wrote what the draft is based on",
    "assigned": "is not the person it was assigned to",
    "new": "is too new to approve",
}
_NOT_BY: Final[Mapping[str, tuple[Kind, str]]] = {
    "edited": ("edited", "your edit goes beyond the draft"),
    "picked": ("picked", "you had the system assign it again"),
    "steered": (
        "steered",
        "this draft is based on what you wrote to the run or on an earlier draft",
    ),
}


def why_not(asked: Asked, person: Person) -> Bar | None:
    """Return why this person may not approve, or None if they may."""
    return why_unfit(asked, person) or _why_not_assigned(asked, person)


def why_unfit(asked: Asked, person: Person) -> Bar | None:
    """Return why this person may not approve, regardless of the assignee."""
    return (
        why_no_no(asked, person)
        or _why_no_role(asked, person)
        or why_conflicted(asked, person)
    )


def why_no_no(asked: Asked, person: Person) -> Bar | None:
    """Return why this person may not even reject, or None if they may.

    A rejection moves nothing: role, conflict of interest, a first day, an assignment
    and somebody else's claim do not prevent it.
    """
    if person.kind != "person":
        return Bar("service", "a service cannot decide; sign in as a person")
    if person.tenant not in (None, asked.tenant):
        return Bar("tenant", "it belongs to another tenant")
    return None


def why_conflicted(asked: Asked, person: Person) -> Bar | None:
    """Return the person's conflict of interest, or None."""
    if _benefits(asked, person):
        return Bar(
            "benefits", "you benefit from it, so another person has to decide it"
        )
    if person.id == asked.started_by:
        return Bar(
            "started", "you started this run, so another person has to decide it"
        )
    if person.id in asked.not_by:
        kind, words = _NOT_BY[asked.not_by[person.id]]
        return Bar(kind, f"{words}, so another person has to approve it")
    return None


def why_not_yet(person: Person, *, now: datetime) -> Bar | None:
    """Return until when a new person may only read; None if they may decide."""
    if person.approves_from is None or person.approves_from <= now:
        return None
    return Bar(
        "new",
        "you are a new approver and can only read until "
        f"{person.approves_from:%Y-%m-%d %H:%M} UTC",
    )


def _why_no_role(asked: Asked, person: Person) -> Bar | None:
    # An unknown role ranks above all known roles.
    if rank(person.role) >= APPROVER_RANK.get(asked.role, 99):
        return None
    return Bar("role", f"it needs the role {asked.role}; yours is {person.role}")


def rank(role: str) -> int:
    """Return a role's rank; 0 for a role that may not decide."""
    return APPROVER_RANK.get(role, 0)


def _benefits(asked: Asked, person: Person) -> bool:
    """Return whether the run acts for this person, or writes to them."""
    if person.id == asked.customer:
        return True
    if person.email is None or asked.contact is None:
        return False
    return person.email.casefold() == asked.contact.casefold()


def _why_not_assigned(asked: Asked, person: Person) -> Bar | None:
    if not asked.is_assigned or asked.assigned_to == person.id:
        return None
    if asked.assigned_to is None:
        return Bar(
            "assigned",
            "the system assigns it to an eligible person within seconds, if there "
            "is one",
        )
    return Bar(
        "assigned",
        "the system assigned it to another person; a lead can have it assigned again",
    )
