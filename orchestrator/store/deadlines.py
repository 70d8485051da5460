"""Deadlines of approvals: extended by a lead, and warned of before they come."""

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from orchestrator.rules.errors import InvalidValue, KeyturnError
from orchestrator.rules.policy.rules import APPROVER_RANK
from orchestrator.store import approvals, asking, audit, deciding, holds, open_rows
from orchestrator.store.deciding import MayNotDecide, Person
from orchestrator.store.engine import Store
from orchestrator.store.tables import ApprovalRow, RunRow

MOST_EXTENSIONS = 3
# From when it was asked; a pause moves a deadline further, a person does not.
FURTHEST = holds.LONGEST_USABLE


class NoMoreTime(KeyturnError):
    """The deadline has been extended as often or as far as it may be."""


async def extend(
    store: Store, person: Person, approval: str, *, until: datetime, reason: str
) -> ApprovalRow:
    """Give people more time to answer, up to a week from the asking; return it.

    Raises `NotFound`, `MayNotDecide`, `AlreadyDecided` (also where it is late already),
    `NoMoreTime`, or `InvalidValue` where `until` is no later than now.
    """
    async with store.write() as session:
        row, run, _ = await approvals.lock(session, approval, tenant=person.tenant)
        now = await store.now(session)
        _check_person(row, run, person)
        given = await approvals.decisions(session, row.id)
        deciding.check_open(row, run, given, now=now)
        _check_time(row, until)
        _record(session, row, person, until, reason, now=now)
        row.answer_by, row.extended = until, row.extended + 1
        asking.warn_later(row, now=deciding.clock_of(row, run, now=now))
        return row


async def extend_by(
    store: Store, person: Person, approval: str, *, by: timedelta, reason: str
) -> ApprovalRow:
    """Give people so much more time; as `extend`."""
    async with store.read() as session:
        row = await approvals.get(session, approval, tenant=person.tenant)
    # Two who extend at once mean the same: the second adds nothing to the first.
    return await extend(
        store, person, approval, until=row.answer_by + by, reason=reason
    )


async def warn(store: Store, *, limit: int = 100) -> int:
    """Tell people of what is about to run out, once each; return how many.

    Any process may. The clock of a run that is stopped stands still.
    """
    async with store.read() as session:
        if not await _due(session, now=await store.now(session), limit=1):
            return 0
    async with store.write() as session:
        now = await store.now(session)
        rows = await _due(session, now=now, limit=limit, lock=True)
        for row in rows:
            row.warned_at = now
            audit.record(session, _warning(row), at=now)
        return len(rows)


async def _due(
    session: AsyncSession, *, now: datetime, limit: int, lock: bool = False
) -> list[ApprovalRow]:
    query = (
        select(ApprovalRow)
        .join(RunRow, col(RunRow.id) == col(ApprovalRow.run))
        .where(
            open_rows.approvals(),
            col(ApprovalRow.warned_at).is_(None),
            col(ApprovalRow.warn_at) <= now,
            col(ApprovalRow.answer_by) > now,
            col(RunRow.stopped_at).is_(None),
            col(ApprovalRow.held_at).is_(None),
            open_rows.runs(),
        )
        .order_by(col(ApprovalRow.warn_at))
        .limit(limit)
    )
    if lock:
        query = query.with_for_update(skip_locked=True, of=ApprovalRow)
    return list((await session.execute(query)).scalars())


def _warning(row: ApprovalRow) -> audit.Entry:
    return audit.Entry(
        actor="system",
        kind="approval.warned",
        tenant=row.tenant,
        run=row.run,
        subject=row.id,
        payload={"answer_by": row.answer_by.isoformat()},
    )


def _check_person(row: ApprovalRow, run: RunRow, person: Person) -> None:
    is_lead = APPROVER_RANK.get(person.role, 0) >= APPROVER_RANK["lead"]
    if person.kind != "person" or not is_lead:
        raise MayNotDecide(
            f"You cannot extend {row.id}: a lead can; your role is {person.role}."
        )
    why = deciding.why_conflicted(row, run, person)
    if why is not None:
        raise MayNotDecide(f"You cannot extend {row.id}: {why}.")


def _check_time(row: ApprovalRow, until: datetime) -> None:
    if row.extended >= MOST_EXTENSIONS:
        raise NoMoreTime(
            f"{row.id} was extended {row.extended} times, which is the most. Decide it, "
            "or have it assigned to somebody who can."
        )
    if until <= row.answer_by:
        raise InvalidValue(
            f"until: {row.id} is to be answered by {row.answer_by:%Y-%m-%d %H:%M} UTC; "
            "name a later time"
        )
    latest = row.created_at + FURTHEST
    if until > latest:
        raise NoMoreTime(
            f"{row.id} can be extended to {latest:%Y-%m-%d %H:%M} UTC at most, a week "
            f"after it was asked; {until:%Y-%m-%d %H:%M} UTC is later."
        )


def _record(  # noqa: PLR0913 who gave how much time, and why
    session: AsyncSession,
    row: ApprovalRow,
    person: Person,
    until: datetime,
    reason: str,
    *,
    now: datetime,
) -> None:
    entry = audit.Entry(
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
    audit.record(session, entry, at=now)
