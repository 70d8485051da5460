"""Restoring: if an edit cannot be done, the replaced draft waits for approval again.

No work is lost: the editor's form is kept, and moves to the new approval.
"""

from collections.abc import Iterable
from datetime import timedelta

from sqlmodel import col, select

from keyturn.orchestrator.rules.policy import stakes
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.approvals import request
from keyturn.orchestrator.store.db import locks
from keyturn.orchestrator.store.effects import proof
from keyturn.orchestrator.store.effects.context import Case
from keyturn.orchestrator.store.ledger.effects import LeaseAnswer
from keyturn.orchestrator.store.people import accounts
from keyturn.orchestrator.store.status import run as run_status
from keyturn.orchestrator.store.tables import ApprovalRow, DraftRow

# The person to whom it returns has at least this long.
SHORTEST = timedelta(minutes=5)


async def restore(case: Case, why: str) -> LeaseAnswer | None:
    """Request again what a person's edit replaced; None if it replaced nothing."""
    edited = await locks.latest_approval(case.session, case.call)
    if edited is None or edited.edited_by is None:
        return None
    if edited.status not in ("pending", "approved"):
        return None
    former = await _former(case, edited)
    if former is None:
        return None
    name = await _name(case, edited.edited_by)
    case.close(edited, "void", f"the edit of {name} cannot be done: {why}")
    await case.free("it waits for approval again, as it was before the edit")
    fresh = await _ask(case, former)
    await _save_draft(case, former, fresh, person=edited.edited_by)
    case.call.gate = "wait"
    run_status.move(case.run, "waiting")
    return LeaseAnswer(kind="waiting", until=fresh.answer_by)


async def _former(case: Case, edited: ApprovalRow) -> ApprovalRow | None:
    """Return the approval that was edited: itself, or an earlier revision's."""
    if edited.effective not in (None, edited.arguments):
        return edited
    query = (
        select(ApprovalRow)
        .where(
            col(ApprovalRow.run) == edited.run,
            col(ApprovalRow.turn) == edited.turn,
            col(ApprovalRow.index) == edited.index,
            col(ApprovalRow.revision) <= edited.revision,
        )
        .order_by(col(ApprovalRow.revision))
    )
    asked = _replacing((await case.session.execute(query)).scalars())
    before = [one for one in asked if one.arguments != edited.arguments]
    return before[-1] if before else None


def _replacing(revisions: Iterable[ApprovalRow]) -> list[ApprovalRow]:
    """Return the approvals, each edit after the one that it replaced.

    An approval that is requested again after a failed edit keeps its place in this
    order: otherwise two edits, neither of which can be done, would replace each other
    forever.
    """
    asked: list[ApprovalRow] = []
    for row in revisions:
        same = (n for n, one in enumerate(asked) if _is_same(one, row))
        del asked[next(same, len(asked)) :]
        asked.append(row)
    return asked


def _is_same(one: ApprovalRow, other: ApprovalRow) -> bool:
    """Tell whether both approvals are for the same person's arguments."""
    return (one.arguments, one.edited_by) == (other.arguments, other.edited_by)


async def _ask(case: Case, former: ApprovalRow) -> ApprovalRow:
    """Request the same of the same people again, with the time that was left."""
    call, arguments = case.call, canonical.parse(former.arguments)
    call.revision += 1
    call.effective = former.arguments if former.arguments != call.arguments else None
    call.subject = stakes.subject_of(case.spec, arguments)
    left = max(former.answer_by - case.session.now, SHORTEST)
    asked = {"within": left, "role": former.role}
    declared = stakes.declared_money(case.spec, arguments)
    fresh = await request.ask(
        case.session,
        case.run,
        call,
        case.release,
        request.Question(
            proof.asked(former).model_copy(update=asked),
            preview=former.preview,
            money=declared or request.shown(former),
            reason=former.reason,
            not_by=former.not_by,
            barred=former.barred,
        ),
    )
    fresh.level, fresh.extended = former.level, former.extended
    fresh.edited_by = former.edited_by if call.effective is not None else None
    await case.session.flush()
    return fresh


async def _save_draft(
    case: Case, former: ApprovalRow, fresh: ApprovalRow, *, person: str
) -> None:
    draft = await case.session.get(DraftRow, (former.id, person))
    if draft is not None:
        kept = DraftRow(
            approval=fresh.id, person=person, form=draft.form, saved_at=draft.saved_at
        )
        case.session.add(kept)


async def _name(case: Case, person: str) -> str:
    found = await accounts.account(case.session, person)
    return found.name if found is not None else person
