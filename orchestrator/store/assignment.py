"""Who decides what is assigned: picked by the system, so that nobody picks whom to ask.

Deterministic: of those who may, whoever has the fewest such items, then by a hash of
the approval's id and the person's. One at a time: the second person of an approval that
needs two is picked once the first has said yes.
"""

import hashlib
from collections.abc import Collection
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, or_, select

from orchestrator.policy import APPROVER_RANK
from orchestrator.store import audit
from orchestrator.store.tables import ApprovalRow, PersonRow, RunRow


async def pick(
    session: AsyncSession,
    row: ApprovalRow,
    run: RunRow,
    *,
    but: Collection[str] = (),
    now: datetime,
) -> PersonRow | None:
    """Assign an approval to whom the system picks, and return them.

    None where nobody is left: then nobody decides it, until a lead assigns it.
    """
    people = await candidates(session, row, run, but=but, now=now)
    counts = await _open_items(session)
    people.sort(
        key=lambda one: (*_fit(one, row), counts.get(one.id, 0), _lot(row, one))
    )
    picked = people[0] if people else None
    give(session, row, picked, by="system", reason="picked by the system", now=now)
    return picked


async def candidates(
    session: AsyncSession,
    row: ApprovalRow,
    run: RunRow,
    *,
    but: Collection[str] = (),
    now: datetime,
) -> list[PersonRow]:
    """Return who may decide an approval, leaving out `but`."""
    least = APPROVER_RANK.get(row.role, 99)
    roles = [role for role, rank in APPROVER_RANK.items() if rank >= least]
    excluded = {*but, *row.not_by, *([run.started_by] if run.started_by else [])}
    query = select(PersonRow).where(
        col(PersonRow.kind) == "person",
        col(PersonRow.disabled_at).is_(None),
        col(PersonRow.role).in_(roles),
        or_(col(PersonRow.tenant).is_(None), col(PersonRow.tenant) == row.tenant),
        or_(
            col(PersonRow.approves_from).is_(None),
            col(PersonRow.approves_from) <= now,
        ),
    )
    found = (await session.execute(query)).scalars()
    return [
        one
        for one in found
        if one.id not in excluded and not benefits(run, person=one.id, email=one.email)
    ]


def give(  # noqa: PLR0913 who gives what to whom, and why
    session: AsyncSession,
    row: ApprovalRow,
    person: PersonRow | None,
    *,
    by: str,
    reason: str,
    now: datetime,
) -> None:
    """Assign an approval to a person, or to nobody; whose claim it was loses it."""
    before, row.assigned_to = row.assigned_to, person.id if person else None
    row.claimed_by = row.claimed_name = row.claim_until = None
    entry = audit.Entry(
        actor=by,
        kind="approval.assigned",
        tenant=row.tenant,
        run=row.run,
        subject=row.id,
        payload={"to": row.assigned_to, "from": before, "reason": reason},
    )
    audit.record(session, entry, at=now)


def benefits(run: RunRow, *, person: str, email: str | None) -> bool:
    """Tell whether a run acts for this person, or writes to them."""
    if person == run.customer:
        return True
    if email is None or run.contact is None:
        return False
    return email.casefold() == run.contact.casefold()


def _fit(person: PersonRow, row: ApprovalRow) -> tuple[int, bool, bool]:
    """Return a key that is less for the role asked for, its team and its language."""
    rank = APPROVER_RANK[person.role]
    is_other_team = bool(person.teams) and row.team not in (None, *person.teams)
    is_other_language = bool(person.languages) and row.language not in (
        None,
        *person.languages,
    )
    return rank, is_other_language, is_other_team


async def _open_items(session: AsyncSession) -> dict[str, int]:
    query = (
        select(ApprovalRow.assigned_to, func.count())
        .where(
            col(ApprovalRow.status) == "pending",
            col(ApprovalRow.assigned_to).is_not(None),
        )
        .group_by(col(ApprovalRow.assigned_to))
    )
    rows = (await session.execute(query)).all()
    return {person: count for person, count in rows if person is not None}


def _lot(row: ApprovalRow, person: PersonRow) -> str:
    return hashlib.sha256(f"{row.id}/{person.id}".encode()).hexdigest()
