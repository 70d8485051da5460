"""Eligibility: who may decide an approval, and why somebody may not (P8)."""

from collections.abc import Sequence
from datetime import datetime

from keyturn.orchestrator.rules.authority import eligibility
from keyturn.orchestrator.rules.authority.eligibility import Asked, Bar
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    DecisionRow,
    PersonRow,
    RunRow,
)


def clock_of(row: ApprovalRow, run: RunRow, *, now: datetime) -> datetime:
    """Return the time by an approval's clock, which stands still while it is held."""
    stood = [one for one in (row.held_at, run.stopped_at) if one is not None]
    return min([*stood, now])


def asked_of(row: ApprovalRow, run: RunRow) -> Asked:
    """Return what an approval of a run requires of its decider."""
    barred = row.barred or {}
    return Asked(
        tenant=row.tenant,
        role=row.role,
        customer=run.customer,
        contact=run.contact,
        started_by=run.started_by,
        not_by={one: barred.get(one, "steered") for one in row.not_by},
        is_assigned=row.assigns,
        assigned_to=row.assigned_to,
    )


def why_not(
    row: ApprovalRow, run: RunRow, person: Person, *, now: datetime | None = None
) -> str | None:
    """Return why this person may not decide, in words to them, or None if they may.

    With `now`, also the reason if their account is still too new.
    """
    found = bar(row, run, person, now=now)
    return found.words if found is not None else None


def bar(
    row: ApprovalRow, run: RunRow, person: Person, *, now: datetime | None = None
) -> Bar | None:
    """Return what keeps this person from deciding, like `why_not`."""
    found = eligibility.why_not(asked_of(row, run), person)
    if found is None and now is not None:
        found = eligibility.why_not_yet(person, now=now)
    return found


def why_no_no(row: ApprovalRow, run: RunRow, person: Person) -> str | None:
    """Return why this person may not even reject this approval, or None if they may."""
    bar = eligibility.why_no_no(asked_of(row, run), person)
    return bar.words if bar is not None else None


def why_conflicted(row: ApprovalRow, run: RunRow, person: Person) -> str | None:
    """Return the person's own interest in this approval, or None."""
    bar = eligibility.why_conflicted(asked_of(row, run), person)
    return bar.words if bar is not None else None


def person_of(row: PersonRow, *, session: str = "") -> Person:
    """Return an account as a `Person` with this session, or without one for checks."""
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

    A person who said yes and then had the second person drawn again has chosen with
    whom they decide: their own yes no longer counts.
    """
    yes = {one.person for one in given if one.decision == "approve"}
    return yes - set(row.not_by)


def is_held_from(row: ApprovalRow, person: str, *, now: datetime) -> bool:
    """Tell whether another person's claim prevents this person from deciding."""
    return (
        row.claimed_by not in (None, person)
        and row.claim_until is not None
        and row.claim_until > now
    )


def is_assigned(row: ApprovalRow) -> bool:
    """Tell whether the system draws the decider of this approval."""
    return row.assigns
