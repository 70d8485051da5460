"""A decision: who may make it, how it is signed, and what follows from it."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from orchestrator.rules.authority.binding import (
    DecisionKind,
    Grounds,
    Signer,
    Statement,
)
from orchestrator.rules.errors import InvalidValue, KeyturnError
from orchestrator.rules.policy.rules import APPROVER_RANK
from orchestrator.rules.status import ENDED_RUNS
from orchestrator.rules.text import canonical, plain_text
from orchestrator.store import assignment, audit, holds, outbox
from orchestrator.store.tables import ApprovalRow, DecisionRow, PersonRow, RunRow

# P9: the decision holds a day, and nothing outlives a week (`holds.LONGEST_USABLE`).
USABLE_FOR = timedelta(hours=24)
# So often a draft is sent back; then it is approved or rejected, or edited by a person.
MOST_ROUNDS = 3


class Person(BaseModel):
    """Who decides, as the session knows them; before `approves_from` they only look.

    Who came by a token does only what is among its `scopes`; None sets no bound. A
    service starts runs for its token's `tenants` alone; None: for those of its `tenant`.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    role: str
    kind: str = "person"
    tenant: str | None = None
    email: str | None = None
    approves_from: datetime | None = None
    teams: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    scopes: tuple[str, ...] | None = None
    tenants: tuple[str, ...] | None = None
    session: str


class Answer(BaseModel):
    """What a person answered; `binding` is that of what they were shown."""

    model_config = ConfigDict(frozen=True)

    decision: DecisionKind
    binding: str
    arguments: dict[str, JsonValue] | None = None
    reason: str | None = None


class AlreadyDecided(KeyturnError):
    """Somebody was first; the text names who decided what."""

    def __init__(self, row: ApprovalRow, decisions: Sequence[DecisionRow]) -> None:
        """Name the approval's state and who brought it there."""
        self.approval = row.id
        self.status = row.status
        self.decided_by = tuple(one.person_name for one in decisions)
        super().__init__(_closed_words(row, decisions))


class Claimed(KeyturnError):
    """Somebody else has the item for now; the text names who, and until when."""

    def __init__(self, row: ApprovalRow) -> None:
        """Name the claim."""
        self.approval = row.id
        self.claimed_by = row.claimed_by
        self.claimed_name = row.claimed_name
        self.until = row.claim_until
        super().__init__(
            f"{row.id} is claimed by {row.claimed_name} until "
            f"{row.claim_until:%Y-%m-%d %H:%M:%S} UTC. Wait, or take it over and say "
            "why."
        )


class DraftOpen(KeyturnError):
    """The person has an unfinished edit of this: which of the two do they mean?"""

    def __init__(self, row: ApprovalRow, *, saved_at: datetime) -> None:
        """Name the approval and since when the draft is kept."""
        self.approval = row.id
        super().__init__(
            f"{row.id} has an edit of yours, kept {saved_at:%Y-%m-%d %H:%M} UTC and not "
            "sent. Nothing was approved: approve the edited version, or discard the "
            "edit and approve what was drafted."
        )


class NoMoreRounds(KeyturnError):
    """A draft was sent back as often as it may be."""


class StaleBinding(KeyturnError):
    """What the person saw is not what is asked now."""


class MayNotDecide(KeyturnError):
    """This person is not among those who may decide this."""


class EditRefused(KeyturnError):
    """The edited action is not allowed by policy."""


def check(  # noqa: PLR0913 all that a decision is checked against
    row: ApprovalRow,
    run: RunRow,
    person: Person,
    answer: Answer,
    given: Sequence[DecisionRow],
    *,
    now: datetime,
) -> None:
    """Raise why this answer decides nothing; return where it does.

    What guards a yes guards no: whoever may see the item may say no to it.
    """
    if row.status != "waiting" or run.status in ENDED_RUNS:
        # What waits for other actions has no time to answer yet; no is heard.
        check_open(row, run, given, now=now)
    if answer.decision == "approve":
        _check_yes(row, run, person, given, now=now)
    else:
        _raise(row, why_no_no(row, person))
    _check_binding(row, answer)
    _check_words(row, answer)


def _check_yes(
    row: ApprovalRow,
    run: RunRow,
    person: Person,
    given: Sequence[DecisionRow],
    *,
    now: datetime,
) -> None:
    _raise(row, why_not(row, run, person) or why_not_yet(person, now=now))
    if any(one.person == person.id for one in given):
        raise AlreadyDecided(row, given)
    if is_held_from(row, person.id, now=now):
        raise Claimed(row)


def _raise(row: ApprovalRow, reason: str | None) -> None:
    if reason is not None:
        raise MayNotDecide(f"You cannot decide {row.id}: {reason}.")


def check_open(
    row: ApprovalRow, run: RunRow, given: Sequence[DecisionRow], *, now: datetime
) -> None:
    """Raise `AlreadyDecided` where nothing waits for an answer any more."""
    is_late = clock_of(row, run, now=now) > row.answer_by
    if row.status != "pending" or run.status in ENDED_RUNS or is_late:
        raise AlreadyDecided(row, given)


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


def sign(  # noqa: PLR0913, PLR0917 one decision, whole
    session: AsyncSession,
    signer: Signer,
    person: Person,
    run: RunRow,
    row: ApprovalRow,
    answer: Answer,
    *,
    effective: str | None,
    at: datetime,
) -> None:
    """Add a decision with its signature; the item is nobody's claim any more."""
    grounds = Grounds(
        started_by=run.started_by,
        not_by=tuple(sorted(row.not_by)),
        assigned_to=row.assigned_to,
        revision=row.revision,
        role=person.role,
        tenant=person.tenant,
    )
    signed = Statement(
        approval=row.id,
        binding=answer.binding,
        effective=effective or answer.binding,
        person=person.id,
        session=person.session,
        decision=answer.decision,
        at=at,
        grounds=grounds,
    )
    edited = canonical.text(answer.arguments) if answer.arguments else None
    session.add(
        DecisionRow(
            **signed.model_dump(exclude={"grounds"}),
            grounds=canonical.text(grounds.model_dump(mode="json")),
            person_name=person.name,
            arguments=edited,
            reason=answer.reason,
            signature=signer.sign(signed),
        )
    )
    assignment.free(row)
    _record(session, person, row, signed, edited=edited, at=at)


async def conclude(  # noqa: PLR0913 what a decision settles
    session: AsyncSession,
    row: ApprovalRow,
    run: RunRow,
    answer: Answer,
    people: Collection[str],
    *,
    now: datetime,
) -> None:
    """Close the approval where the answers of `people` settle it, and ring the run."""
    if answer.decision == "approve":
        if len(set(people) - set(row.not_by)) < row.needed:
            if is_assigned(row):
                await assignment.pick(session, row, run, but=people, now=now)
            return
        row.status = "approved"
        usable = max(now, row.undo_until or now) + USABLE_FOR
        row.usable_until = min(usable, now + holds.LONGEST_USABLE)
    else:
        row.status = "rejected" if answer.decision == "reject" else "changes"
    row.closed_at = now
    outbox.add(session, "decision", row.run, at=now, approval=row.id)


def _why_not_assigned(row: ApprovalRow, person: Person) -> str | None:
    if not is_assigned(row) or row.assigned_to == person.id:
        return None
    if row.assigned_to is None:
        return (
            "the system picks who decides it, within seconds, as long as somebody is "
            "left whom it may pick"
        )
    return "the system assigned it to somebody else; a lead can have it pick again"


def _check_binding(row: ApprovalRow, answer: Answer) -> None:
    if row.binding is None and answer.decision != "approve":
        # Its facts are being read: there is none yet, and no needs none.
        return
    if row.binding is None:
        raise StaleBinding(
            f"{row.id} is being prepared: its facts are read again after an edit. "
            "Look again in a moment."
        )
    if answer.binding != row.binding:
        raise StaleBinding(
            f"{row.id} has changed since it was shown to you. Nothing was decided; "
            "read it again and decide on what it says now."
        )


def _check_words(row: ApprovalRow, answer: Answer) -> None:
    if answer.decision == "change" and row.round >= MOST_ROUNDS:
        raise NoMoreRounds(
            f"{row.id} was sent back {row.round} times, which is the most: approve it, "
            "edit it yourself, or reject it."
        )
    if answer.decision != "approve" and not plain_text.trimmed(answer.reason):
        raise InvalidValue(
            "reason: a rejection needs a reason; the model reads it and goes on from it"
        )


def _record(  # noqa: PLR0913 one decision, whole
    session: AsyncSession,
    person: Person,
    row: ApprovalRow,
    signed: Statement,
    *,
    edited: str | None,
    at: datetime,
) -> None:
    entry = audit.Entry(
        actor=person.id,
        kind=f"decision.{signed.decision}",
        tenant=row.tenant,
        run=row.run,
        subject=row.id,
        payload={
            "binding": signed.binding,
            "effective": signed.effective,
            "edited": edited is not None,
            "session": person.session,
        },
    )
    audit.record(session, entry, at=at)


def _closed_words(row: ApprovalRow, given: Sequence[DecisionRow]) -> str:
    if row.status == "pending" and not given:
        return f"{row.id} was to be answered by {row.answer_by:%Y-%m-%d %H:%M} UTC."
    who = ", ".join(f"{one.person_name} decided {one.decision}" for one in given)
    because = f" ({row.closed_because})" if row.closed_because else ""
    return f"{row.id} is {row.status}{because}. {who or 'Nobody decided it'}."
