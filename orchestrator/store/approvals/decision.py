"""A decision: checked and signed, and its consequences."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, JsonValue

from keyturn.orchestrator.rules.authority.binding import (
    DecisionKind,
    Grounds,
    Signer,
    Statement,
)
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.errors import InvalidValue
from keyturn.orchestrator.rules.status import ENDED_RUNS
from keyturn.orchestrator.rules.text import canonical, plain_text
from keyturn.orchestrator.store import holds, outbox
from keyturn.orchestrator.store.approvals import assignment, eligibility
from keyturn.orchestrator.store.approvals.errors import (
    AlreadyDecided,
    Claimed,
    MayNotDecide,
    NoMoreRounds,
    StaleBinding,
)
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.status import approval as approval_status
from keyturn.orchestrator.store.tables import ApprovalRow, DecisionRow, RunRow

# P9: a decision holds for a day, and nothing lasts longer than a week
# (`holds.LONGEST_USABLE`).
USABLE_FOR = timedelta(hours=24)
# A draft is sent back this often; then it is approved, rejected or edited by a person.
MOST_ROUNDS = 3


class Answer(BaseModel):
    """What a person answered; `binding` is that of what they were shown."""

    model_config = ConfigDict(frozen=True)

    decision: DecisionKind
    binding: str
    arguments: dict[str, JsonValue] | None = None
    reason: str | None = None


def check(  # noqa: PLR0913 all that a decision is checked against
    row: ApprovalRow,
    run: RunRow,
    person: Person,
    answer: Answer,
    given: Sequence[DecisionRow],
    *,
    now: datetime,
) -> None:
    """Raise the reason why this answer decides nothing, if there is one.

    The checks that protect a yes do not apply to a no: everybody who may see the item
    may reject it.
    """
    if row.status != "waiting" or run.status in ENDED_RUNS:
        # An item that waits for other actions has no time to answer yet; a no is
        # accepted.
        check_open(row, run, given, now=now)
    if answer.decision == "approve":
        _check_yes(row, run, person, given, now=now)
    else:
        _raise(row, eligibility.why_no_no(row, run, person))
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
    _raise(row, eligibility.why_not(row, run, person, now=now))
    if any(one.person == person.id for one in given):
        raise AlreadyDecided(row, given)
    if eligibility.is_held_from(row, person.id, now=now):
        raise Claimed(row)


def _raise(row: ApprovalRow, reason: str | None) -> None:
    if reason is not None:
        raise MayNotDecide(f"You cannot decide {row.id}: {reason}.")


def check_open(
    row: ApprovalRow, run: RunRow, given: Sequence[DecisionRow], *, now: datetime
) -> None:
    """Raise `AlreadyDecided` if the approval no longer waits for an answer."""
    is_late = eligibility.clock_of(row, run, now=now) > row.answer_by
    if row.status != "pending" or run.status in ENDED_RUNS or is_late:
        raise AlreadyDecided(row, given)


def sign(  # noqa: PLR0913, PLR0917 one decision, whole
    session: Tx,
    signer: Signer,
    person: Person,
    run: RunRow,
    row: ApprovalRow,
    answer: Answer,
    *,
    effective: str | None,
) -> None:
    """Add a decision with its signature, and end the claim on the item."""
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
        at=session.now,
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
    assignment.release_claim(row)
    _record(session, person, row, signed, edited=edited)


async def conclude(
    session: Tx, row: ApprovalRow, run: RunRow, answer: Answer, people: Collection[str]
) -> None:
    """Close the approval if the answers of `people` settle it, and signal the run."""
    if answer.decision == "approve":
        if len(set(people) - set(row.not_by)) < row.needed:
            if eligibility.is_assigned(row):
                await assignment.pick(session, row, run, but=people)
            return
        approval_status.move(row, "approved")
        usable = max(session.now, row.undo_until or session.now) + USABLE_FOR
        row.usable_until = min(usable, session.now + holds.LONGEST_USABLE)
    else:
        refused = answer.decision == "reject"
        approval_status.move(row, "rejected" if refused else "changes")
    row.closed_at = session.now
    outbox.add(session, "decision", row.run, at=session.now, approval=row.id)


def _check_binding(row: ApprovalRow, answer: Answer) -> None:
    if row.binding is None and answer.decision != "approve":
        # Its facts are still being read: there is no binding yet, and a no needs none.
        return
    if row.binding is None:
        raise StaleBinding(
            f"{row.id} is being prepared: its facts are read again after an edit. "
            "Look again in a moment."
        )
    if answer.binding != row.binding:
        raise StaleBinding(
            f"{row.id} has changed since it was shown to you. Nothing was decided; "
            "read it again, then decide."
        )


def _check_words(row: ApprovalRow, answer: Answer) -> None:
    if answer.decision == "change" and row.round >= MOST_ROUNDS:
        raise NoMoreRounds(
            f"{row.id} was sent back {row.round} times, which is the maximum: approve it, "
            "edit it yourself, or reject it."
        )
    if answer.decision != "approve" and not plain_text.trimmed(answer.reason):
        raise InvalidValue("reason: a rejection needs a reason; the model reads it")


def _record(
    session: Tx,
    person: Person,
    row: ApprovalRow,
    signed: Statement,
    *,
    edited: str | None,
) -> None:
    entry = log.Entry(
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
    log.record(session, entry, at=session.now)
