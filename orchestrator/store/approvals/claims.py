"""Claims: one person looks at an item, and for five minutes nobody else decides it.

A claim is a lease: claiming again renews it, and a claim that is not renewed expires. A
pause of the run does not lengthen it: the claim says that a person is present.
"""

from datetime import datetime, timedelta

from pydantic import JsonValue
from sqlalchemy.orm.attributes import flag_modified

from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.errors import InvalidValue
from keyturn.orchestrator.rules.text import plain_text
from keyturn.orchestrator.store.approvals import assignment, decision, eligibility
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.approvals.errors import (
    AlreadyDecided,
    Claimed,
    MayNotDecide,
)
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import ApprovalRow, RunRow

LEASE = timedelta(minutes=5)


async def claim(
    store: Store,
    person: Person,
    approval: str,
    *,
    take_over: str | None = None,
    reason: str | None = None,
) -> ApprovalRow:
    """Claim an item for five minutes, or renew the claim; return the approval.

    `take_over` names the holder whom the person saw and replaces, which needs a reason:
    if somebody else has taken the claim since, that holder keeps it. Raises `NotFound`,
    `AlreadyDecided`, `MayNotDecide`, `Claimed` or `InvalidValue`.
    """
    if take_over is not None and not plain_text.trimmed(reason):
        raise InvalidValue(
            "reason: say why you take it over; it is kept in the audit log"
        )
    async with store.write() as session:
        row, run, _ = await approval_lookup.lock(
            session, approval, tenant=person.tenant
        )
        now = await session.read_clock()
        await _check(session, row, run, person)
        held_from = eligibility.is_held_from(row, person.id, now=now)
        if held_from and row.claimed_by != take_over:
            raise Claimed(row)
        if holder(row, now=now) == person.id:
            # A renewed claim shows nothing new to people who see the queue.
            flag_modified(row, "stamp")
        _note(session, row, person, reason if held_from else None)
        row.claimed_by, row.claimed_name = person.id, person.name
        row.claim_until = now + LEASE
        return row


async def unclaim(store: Store, person: Person, approval: str) -> ApprovalRow:
    """Give up a claim; return the approval, unchanged if nobody holds it.

    Raises `NotFound`, or `Claimed` if another person holds it.
    """
    async with store.write() as session:
        row, _, _ = await approval_lookup.lock(session, approval, tenant=person.tenant)
        now = await session.read_clock()
        if row.status == "pending" and eligibility.is_held_from(
            row, person.id, now=now
        ):
            raise Claimed(row)
        if row.claimed_by == person.id:
            _record(session, row, person, "approval.unclaimed", {})
            assignment.release_claim(row)
        return row


def holder(row: ApprovalRow, *, now: datetime) -> str | None:
    """Return the person who holds the item now."""
    is_held = row.status == "pending" and eligibility.is_held_from(row, "", now=now)
    return row.claimed_by if is_held else None


async def _check(session: Tx, row: ApprovalRow, run: RunRow, person: Person) -> None:
    """Raise the reason why this person may not claim; deciders may claim."""
    given = await approval_lookup.decisions(session, row.id)
    decision.check_open(row, run, given, now=session.now)
    why = eligibility.why_not(row, run, person, now=session.now)
    if why is not None:
        raise MayNotDecide(f"You cannot claim {row.id}: {why}.")
    if any(one.person == person.id for one in given):
        raise AlreadyDecided(row, given)


def _note(session: Tx, row: ApprovalRow, person: Person, reason: str | None) -> None:
    """Record a new claim; a renewed claim is not recorded."""
    if reason is not None:
        payload: dict[str, JsonValue] = {"from": row.claimed_by, "reason": reason}
        _record(session, row, person, "approval.taken_over", payload)
    elif holder(row, now=session.now) != person.id:
        _record(session, row, person, "approval.claimed", {})


def _record(
    session: Tx,
    row: ApprovalRow,
    person: Person,
    kind: str,
    payload: dict[str, JsonValue],
) -> None:
    entry = log.Entry(
        actor=person.id,
        kind=kind,
        tenant=row.tenant,
        run=row.run,
        subject=row.id,
        payload={**payload, "session": person.session},
    )
    log.record(session, entry, at=session.now)
