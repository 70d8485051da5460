"""Who may decide an approval, and why somebody may not (P8)."""

from collections.abc import Sequence
from datetime import datetime

from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.policy.rules import APPROVER_RANK
from keyturn.orchestrator.store.approvals import assignment
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    DecisionRow,
    PersonRow,
    RunRow,
)


def clock_of(row: ApprovalRow, run: RunRow, *, now: datetime) -> datetime:
    """Return the time by an approval's own clock, which stands still while it is held."""
    stood = [one for one in (row.held_at, run.stopped_at) if one is not None]
    return min([*stood, now])


def why_not(row: ApprovalRow, run: RunRow, person: Person) -> str | None:
    """Return why this person may not decide this, or None where they may."""
    unfit = why_no_no(row, person)
    if unfit is not None:
        return unfit
    rank = APPROVER_RANK.get(person.role, 0)
    if rank < APPROVER_RANK.get(row.role, 99):
        return f"it asks for the role {row.role}; yours is {person.role}"
    return why_conflicted(row, run, person) or _why_not_assigned(row, person)


def why_no_no(row: ApprovalRow, person: Person) -> str | None:
    """Return why this person may not even say no to this, or None where they may.

    No moves nothing: neither role, conflict of interest, a first day, an assignment nor
    somebody else's claim is in its way.
    """
    if person.kind != "person":
        return "a service decides nothing; sign in as a person"
    if person.tenant not in (None, row.tenant):
        return "it belongs to another tenant"
    return None


# Why somebody of `not_by` does not approve it.
BARRED = {
    "edited": "you edited it to more than it was",
    "picked": "you had it picked again who decides it",
    "steered": "you wrote into the run, or to an earlier draft, what it was drafted from",
}


def why_conflicted(row: ApprovalRow, run: RunRow, person: Person) -> str | None:
    """Return what of it is this person's own, or None."""
    if assignment.benefits(run, person=person.id, email=person.email):
        return "it is for you yourself; somebody else decides it"
    if person.id == run.started_by:
        return "you started this run; somebody else decides what it does"
    if person.id in row.not_by:
        why = (row.barred or {}).get(person.id, "steered")
        return f"{BARRED[why]}; it needs another person's yes"
    return None


def why_not_yet(person: Person, *, now: datetime) -> str | None:
    """Return since when this person, being new, may decide; None where they may."""
    if person.approves_from is None or person.approves_from <= now:
        return None
    return (
        "you are new to approving: for a day you see and do not decide, until "
        f"{person.approves_from:%Y-%m-%d %H:%M} UTC"
    )


def person_of(row: PersonRow, *, session: str = "") -> Person:
    """Return an account as its session knows it; without one, to ask what it may."""
    return Person(
        id=row.id,
        name=row.name,
        role=row.role,
        kind=row.kind,
        tenant=row.tenant,
        email=row.email,
        approves_from=row.approves_from,
        teams=tuple(row.teams),
        languages=tuple(row.languages),
        session=session,
    )


def who_agreed(row: ApprovalRow, given: Sequence[DecisionRow]) -> set[str]:
    """Return the people whose yes counts.

    Whoever said yes and then had the second person drawn again chose with whom they
    decide: their own yes is spent.
    """
    yes = {one.person for one in given if one.decision == "approve"}
    return yes - set(row.not_by)


def is_held_from(row: ApprovalRow, person: str, *, now: datetime) -> bool:
    """Tell whether somebody else's claim keeps this person from deciding."""
    return (
        row.claimed_by not in (None, person)
        and row.claim_until is not None
        and row.claim_until > now
    )


def is_assigned(row: ApprovalRow) -> bool:
    """Tell whether the system picks who decides this."""
    return row.assigns


def _why_not_assigned(row: ApprovalRow, person: Person) -> str | None:
    if not is_assigned(row) or row.assigned_to == person.id:
        return None
    if row.assigned_to is None:
        return (
            "the system picks who decides it, within seconds, as long as somebody is "
            "left whom it may pick"
        )
    return "the system assigned it to somebody else; a lead can have it pick again"
