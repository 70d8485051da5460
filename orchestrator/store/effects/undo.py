"""Undo: a decision is taken back before its effect has begun."""

from datetime import datetime

from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.policy import stakes
from keyturn.orchestrator.rules.policy.rules import APPROVER_RANK
from keyturn.orchestrator.rules.status import ENDED_RUNS, UNDOABLE
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.approvals import request, siblings
from keyturn.orchestrator.store.approvals.errors import MayNotDecide
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.effects import proof, restore
from keyturn.orchestrator.store.effects.errors import TooLate
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.tables import ApprovalRow, CallRow, RunRow


async def undo(store: Store, person: Person, approval: str, reason: str) -> ApprovalRow:
    """Take a decision back; return the new approval, as its next revision.

    The row that `perform` locks to start is locked here: one of the two finds the
    other's work. Raises `NotFound`, `MayNotDecide` or `TooLate`.
    """
    async with store.write() as session:
        row, run, call = await approval_lookup.lock(
            session, approval, tenant=person.tenant
        )
        now = await session.read_clock()
        given = await approval_lookup.decisions(session, row.id)
        _check_person(row, person, [one.person for one in given])
        if run.status in ENDED_RUNS:
            raise TooLate(
                f"The run of {row.id} has ended, so the decision cannot be undone."
            )
        _check_time(row, call, now=now)
        because = f"undone by {person.name}"
        request.close(session, row, status="void", because=because)
        release = await releases.load(session, run.release)
        fresh = await _ask_anew(session, row, run, call, release)
        _record(session, person, row, fresh, reason)
        await session.flush()
        # The action it describes may have had another outcome while the no was in
        # force.
        await siblings.void_untrue(session, run)
        return fresh


def _check_person(row: ApprovalRow, person: Person, deciders: list[str]) -> None:
    if person.kind != "person":
        raise MayNotDecide(
            f"You cannot undo {row.id}: a service cannot decide. Sign in as a person."
        )
    is_lead = APPROVER_RANK.get(person.role, 0) >= APPROVER_RANK["lead"]
    if person.id not in deciders and not is_lead:
        raise MayNotDecide(
            f"You cannot undo {row.id}: only the person who decided it or a lead can; "
            f"your role is {person.role}."
        )


def _check_time(row: ApprovalRow, call: CallRow, *, now: datetime) -> None:
    if row.status not in UNDOABLE:
        raise TooLate(f"{row.id} is {row.status}; there is no decision to undo.")
    is_current = call.status == "open" and call.revision == row.revision
    if row.consumed_by is not None or not is_current:
        raise TooLate(
            f"{row.id} is being carried out or has been, so it can no longer be undone."
        )
    if row.undo_until is None or now >= row.undo_until:
        raise TooLate(f"The time to undo {row.id} is over; it is carried out now.")


async def _ask_anew(
    session: Tx, row: ApprovalRow, run: RunRow, call: CallRow, release: Release
) -> ApprovalRow:
    """Request the same of the same people again, with the time that was left."""
    call.revision += 1
    # An edit is taken back with its decision: the original request is made again.
    call.effective = row.arguments if row.arguments != call.arguments else None
    left = max(row.answer_by - session.now, restore.SHORTEST)
    asked = {"within": left, "role": row.role}
    verdict = proof.asked(row).model_copy(update=asked)
    arguments = canonical.parse(row.arguments)
    declared = stakes.declared_money(release.tool(call.tool), arguments)
    fresh = await request.ask(
        session,
        run,
        call,
        release,
        request.Question(
            verdict,
            preview=row.preview,
            money=declared or request.shown(row),
            reason=row.reason,
            not_by=row.not_by,
            barred=row.barred,
            waits=await siblings.is_early(session, call, release),
        ),
    )
    fresh.level, fresh.extended = row.level, row.extended
    fresh.edited_by = row.edited_by if call.effective is not None else None
    return fresh


def _record(
    session: Tx, person: Person, row: ApprovalRow, fresh: ApprovalRow, reason: str
) -> None:
    log.record(
        session,
        log.Entry(
            actor=person.id,
            kind="approval.undone",
            tenant=row.tenant,
            run=row.run,
            subject=row.id,
            payload={"anew": fresh.id, "reason": reason, "session": person.session},
        ),
        at=session.now,
    )
