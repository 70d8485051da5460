"""Extensions: a lead gives people more time to answer."""

from datetime import datetime, timedelta

from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.errors import InvalidValue
from keyturn.orchestrator.rules.policy.rules import APPROVER_RANK
from keyturn.orchestrator.store import holds
from keyturn.orchestrator.store.approvals import decision, eligibility, request
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.approvals.errors import MayNotDecide, NoMoreTime
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import ApprovalRow, RunRow

MOST_EXTENSIONS = 3
# Counted from the request; a pause may move a deadline further, a person may not.
FURTHEST = holds.LONGEST_USABLE


async def extend(
    store: Store, person: Person, approval: str, *, until: datetime, reason: str
) -> ApprovalRow:
    """Give people more time to answer, up to a week from the request; return it.

    Raises `NotFound`, `MayNotDecide`, `AlreadyDecided` (also if the deadline has
    passed), `NoMoreTime`, or `InvalidValue` if `until` is not later than now.
    """
    async with store.write() as session:
        row, run, _ = await approval_lookup.lock(
            session, approval, tenant=person.tenant
        )
        now = await session.read_clock()
        _check_person(row, run, person)
        given = await approval_lookup.decisions(session, row.id)
        decision.check_open(row, run, given, now=now)
        _check_time(row, until)
        _record(session, row, person, until, reason)
        row.answer_by, row.extended = until, row.extended + 1
        request.warn_later(row, now=eligibility.clock_of(row, run, now=now))
        return row


async def extend_by(
    store: Store, person: Person, approval: str, *, by: timedelta, reason: str
) -> ApprovalRow:
    """Give people this much more time; otherwise like `extend`."""
    async with store.read() as session:
        row = await approval_lookup.get(session, approval, tenant=person.tenant)
    # Two people who extend at once mean the same: the second adds nothing to the first.
    return await extend(
        store, person, approval, until=row.answer_by + by, reason=reason
    )


def _check_person(row: ApprovalRow, run: RunRow, person: Person) -> None:
    is_lead = APPROVER_RANK.get(person.role, 0) >= APPROVER_RANK["lead"]
    if person.kind != "person" or not is_lead:
        raise MayNotDecide(
            f"You cannot extend {row.id}: only a lead can, and your role is {person.role}."
        )
    why = eligibility.why_conflicted(row, run, person)
    if why is not None:
        raise MayNotDecide(f"You cannot extend {row.id}: {why}.")


def _check_time(row: ApprovalRow, until: datetime) -> None:
    if row.extended >= MOST_EXTENSIONS:
        raise NoMoreTime(
            f"{row.id} was extended {row.extended} times, which is the maximum. Decide it, "
            "or have it assigned to somebody who can."
        )
    if until <= row.answer_by:
        raise InvalidValue(
            f"until: the deadline of {row.id} is {row.answer_by:%Y-%m-%d %H:%M} UTC already; "
            "name a later time"
        )
    latest = row.created_at + FURTHEST
    if until > latest:
        raise NoMoreTime(
            f"{row.id} can be extended to {latest:%Y-%m-%d %H:%M} UTC at most, a week "
            f"after it was requested; {until:%Y-%m-%d %H:%M} UTC is later."
        )


def _record(
    session: Tx, row: ApprovalRow, person: Person, until: datetime, reason: str
) -> None:
    entry = log.Entry(
        actor=person.id,
        kind="approval.extended",
        tenant=row.tenant,
        run=row.run,
        subject=row.id,
        payload={
            "from": row.answer_by.isoformat(),
            "to": until.isoformat(),
            "reason": reason,
            "session": person.session,
        },
    )
    log.record(session, entry, at=session.now)
