"""Assignment of approvals: the system draws the decider, so nobody chooses whom to ask.

The draw is random, among at least three people where so many are eligible. If the least
busy person or the only speaker of a language were always picked, somebody who drafts or
starts runs could foresee the choice and steer it. An approval that is requested again
goes back to the person it was assigned to before, so that no undo, edit or new draft
triggers another draw. People are drawn one at a time: the second person of an approval
that needs two is drawn after the first has said yes.
"""

import secrets
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from sqlmodel import and_, col, func, or_, select

from keyturn.orchestrator.rules.authority import eligibility
from keyturn.orchestrator.rules.policy.rules import APPROVER_RANK
from keyturn.orchestrator.rules.text import language
from keyturn.orchestrator.store.approvals.eligibility import asked_of, person_of
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db import row_codes
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    DecisionRow,
    PersonRow,
    RunRow,
    new_stamp,
)

# Role, language and team narrow the draw only as long as this many people remain.
DRAWN_AMONG = 3
# A person with this many more open items than the least busy one is left out.
BUSY = 5


class Assigner(NamedTuple):
    """The person or system that assigns an approval, and the reason in the record."""

    by: str = "system"
    reason: str = "picked by the system"


SYSTEM: Final = Assigner()


async def pick(
    session: Tx,
    row: ApprovalRow,
    run: RunRow,
    *,
    but: Collection[str] = (),
    assigner: Assigner = SYSTEM,
) -> PersonRow | None:
    """Assign an approval to a person whom the system draws, and return them.

    Returns None if nobody is eligible: the approval then waits until somebody is.
    """
    people = await candidates(session, row, run, but=but)
    before = await _asked_before(session, row)
    again = [one for name in before for one in people if one.id == name]
    picked = again[0] if again else await _draw(session, people, row)
    assign(session, row, picked, assigner)
    return picked


async def candidates(
    session: Tx, row: ApprovalRow, run: RunRow, *, but: Collection[str] = ()
) -> list[PersonRow]:
    """Return the people who may decide an approval, except those in `but`."""
    least = APPROVER_RANK.get(row.role, 99)
    roles = [role for role, rank in APPROVER_RANK.items() if rank >= least]
    query = select(PersonRow).where(
        col(PersonRow.kind) == "person",
        col(PersonRow.disabled_at).is_(None),
        col(PersonRow.role).in_(roles),
        or_(col(PersonRow.tenant).is_(None), col(PersonRow.tenant) == row.tenant),
        or_(
            col(PersonRow.approves_from).is_(None),
            col(PersonRow.approves_from) <= session.now,
        ),
    )
    # The query only narrows the accounts; `eligibility` decides who is eligible.
    asked = asked_of(row, run)
    found = (await session.execute(query)).scalars()
    return [
        one
        for one in found
        if one.id not in but
        and row_codes.is_genuine(session, one)
        and eligibility.why_unfit(asked, person_of(one)) is None
    ]


def assign(
    session: Tx, row: ApprovalRow, person: PersonRow | None, assigner: Assigner
) -> None:
    """Assign an approval to a person, or to nobody; this ends any claim on it."""
    before, row.assigned_to = row.assigned_to, person.id if person else None
    release_claim(row)
    entry = log.Entry(
        actor=assigner.by,
        kind="approval.assigned",
        tenant=row.tenant,
        run=row.run,
        subject=row.id,
        payload={"to": row.assigned_to, "from": before, "reason": assigner.reason},
    )
    log.record(session, entry, at=session.now)


def release_claim(row: ApprovalRow) -> None:
    """End the approval's claim, if there is one."""
    row.claimed_by = row.claimed_name = row.claim_until = None
    # A yes that needs a second yes changes no other column, and pages show it.
    row.stamp = new_stamp()


async def _draw(
    session: Tx, people: Sequence[PersonRow], row: ApprovalRow
) -> PersonRow | None:
    pool = _closest(people, row)
    if not pool:
        return None
    counts = await _open_items(session)
    pool.sort(key=lambda one: counts.get(one.id, 0))
    most = counts.get(pool[0].id, 0) + BUSY
    free_ones = [one for one in pool if counts.get(one.id, 0) <= most]
    # Drawn at random: a predictable rule can be exploited.
    return secrets.choice(max(free_ones, pool[:DRAWN_AMONG], key=len))


def _closest(people: Sequence[PersonRow], row: ApprovalRow) -> list[PersonRow]:
    """Return the people who fit best, and enough of the next best to draw among."""
    found: list[PersonRow] = []
    for fit in sorted({_fit(one, row) for one in people}):
        if len(found) < DRAWN_AMONG:
            found += [one for one in people if _fit(one, row) == fit]
    return found


def _fit(person: PersonRow, row: ApprovalRow) -> tuple[int, bool, bool]:
    """Return a sort key: lower is a better fit of role, language and team."""
    rank = APPROVER_RANK[person.role]
    is_other_team = bool(person.teams) and row.team not in (None, *person.teams)
    is_foreign = not language.speaks(person.languages, row.language)
    return rank, is_foreign, is_other_team


async def _asked_before(session: Tx, row: ApprovalRow) -> list[str]:
    """Return the people asked about this call or the draft before it, in that order."""
    is_earlier = and_(
        col(ApprovalRow.run) == row.run,
        col(ApprovalRow.turn) == row.turn,
        col(ApprovalRow.index) == row.index,
        col(ApprovalRow.revision) < row.revision,
    )
    query = select(ApprovalRow).where(
        or_(is_earlier, col(ApprovalRow.id) == row.redraft_of)
    )
    rows = list((await session.execute(query)).scalars())
    decided = (
        select(DecisionRow.person)
        .where(col(DecisionRow.approval).in_([one.id for one in rows]))
        .order_by(col(DecisionRow.id))
    )
    people = list((await session.execute(decided)).scalars())
    return [*people, *(one.assigned_to for one in rows if one.assigned_to)]


async def _open_items(session: Tx) -> dict[str, int]:
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
