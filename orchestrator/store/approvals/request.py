"""Requests for approval: created, offered, closed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import and_, col, or_, select

from keyturn.orchestrator.rules.authority.binding import Binding
from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.policy.rules import Verdict
from keyturn.orchestrator.rules.status import ApprovalStatus
from keyturn.orchestrator.rules.text import canonical, language
from keyturn.orchestrator.rules.text import storable as text_storable
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.ledger import keys
from keyturn.orchestrator.store.status import approval as approval_status
from keyturn.orchestrator.store.status import run as run_status
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    CallRow,
    RunRow,
)

LONGEST_LANGUAGE = 35
# After this share of the time to answer, people are warned that it is running out.
WARN_AFTER = 0.75


def shown(row: ApprovalRow) -> Money | None:
    """Return the money that an approval shows."""
    if row.amount is None or row.currency is None:
        return None
    return Money(row.amount, row.currency)


def bind(run: RunRow, call: CallRow, release: Release, preview: str) -> str:
    """Return the binding of a call as it would be carried out now."""
    return Binding(
        run=run.id,
        call=keys.effect_key(call),
        tool=call.tool,
        arguments=canonical.parse(keys.effective(call)),
        contract=run.release,
        policy=release.policy_hash(),
        preview=canonical.parse(preview),
    ).digest()


@dataclass(frozen=True)
class Question:
    """What people are asked about a call, and who may not answer.

    Without a preview it waits for `perform` to read the facts before it can be decided.
    `barred` gives the reason for people in `not_by`. One that `waits` for other actions
    is offered only by `offer`.
    """

    verdict: Verdict
    preview: str | None
    money: Money | None
    reason: str
    not_by: Sequence[str] = ()
    barred: Mapping[str, str] | None = None
    waits: bool = False


async def ask(
    session: Tx, run: RunRow, call: CallRow, release: Release, question: Question
) -> ApprovalRow:
    """Add a pending approval for this revision of the call, and return it.

    If the rule assigns, the system draws the decider.
    """
    verdict, money = question.verdict, question.money
    preview = question.preview
    redraft_of, sent_back = await _thread(session, call)
    row = ApprovalRow(
        id=keys.approval_id(call),
        run=run.id,
        turn=call.turn,
        index=call.index,
        revision=call.revision,
        tenant=run.tenant,
        workflow=run.workflow,
        customer=run.customer,
        tool=call.tool,
        subject=call.subject,
        arguments=keys.effective(call),
        preview=preview,
        amount=money.amount if money else None,
        currency=money.currency if money else None,
        verdict=verdict.model_dump(mode="json"),
        assigns=verdict.assign,
        rule=verdict.rule,
        needed=max(1, verdict.approvers),
        role=verdict.role,
        release=run.release,
        policy=release.policy_hash(),
        binding=bind(run, call, release, preview) if preview is not None else None,
        reason=text_storable.text(question.reason),
        not_by=list(question.not_by),
        barred=dict(question.barred or {}),
        team=release.owner,
        language=_language(run),
        redraft_of=redraft_of,
        round=sent_back,
        answer_by=session.now + verdict.within,
        created_at=session.now,
    )
    session.add(row)
    if question.waits:
        log.record(session, entry_of("approval.waits", row), at=session.now)
    else:
        offer(session, row)
    return row


def offer(session: Tx, row: ApprovalRow) -> None:
    """Offer an approval to people, who have its full time to answer from now on.

    If the rule assigns, the web process draws the decider
    (`keyturn.orchestrator.store.approvals.reassignment.Assigning`): a worker may not.
    """
    verdict = Verdict.model_validate(row.verdict)
    approval_status.move(row, "pending")
    row.answer_by = session.now + verdict.within
    warn_later(row, now=session.now)
    log.record(session, entry_of("approval.asked", row), at=session.now)


def close(
    session: Tx, row: ApprovalRow, *, status: ApprovalStatus, because: str
) -> None:
    """Close an approval without a decision, with a reason."""
    approval_status.move(row, status)
    row.closed_because, row.closed_at = because, session.now
    log.record(session, entry_of(f"approval.{status}", row, because), at=session.now)


def warn_later(row: ApprovalRow, *, now: datetime) -> None:
    """Schedule the warning for when most of the time left from `now` has passed."""
    row.warn_at = now + (row.answer_by - now) * WARN_AFTER
    row.warned_at = None


async def show_waiting(session: Tx, run: RunRow) -> None:
    """Set a run's status to waiting for people if a call of it still waits for them."""
    if run.status != "running":
        return
    query = select(ApprovalRow.id).where(
        col(ApprovalRow.run) == run.id, col(ApprovalRow.status) == "pending"
    )
    if (await session.execute(query.limit(1))).first() is not None:
        run_status.move(run, "waiting")


async def _thread(session: Tx, call: CallRow) -> tuple[str | None, int]:
    """Return the approval that this redrafts, and how often it was sent back before.

    A redraft is the next call of the same tool on the same subject in its run; another
    revision of the call keeps its place in its thread.
    """
    query = (
        select(ApprovalRow)
        .where(
            col(ApprovalRow.run) == call.run,
            col(ApprovalRow.tool) == call.tool,
            or_(
                col(ApprovalRow.subject) == call.subject
                if call.subject is not None
                else col(ApprovalRow.subject).is_(None),
                and_(
                    col(ApprovalRow.turn) == call.turn,
                    col(ApprovalRow.index) == call.index,
                ),
            ),
        )
        .order_by(
            col(ApprovalRow.turn).desc(),
            col(ApprovalRow.index).desc(),
            col(ApprovalRow.revision).desc(),
        )
        .limit(1)
    )
    before = (await session.execute(query)).scalar_one_or_none()
    if before is None:
        return None, 0
    if (before.turn, before.index) == (call.turn, call.index):
        return before.redraft_of, before.round
    if before.status == "changes":
        return before.id, before.round + 1
    return None, 0


def _language(run: RunRow) -> str | None:
    """Return the ticket's language if its input has a field of that name."""
    ticket = canonical.parse(run.input)
    found = ticket.get("language") if isinstance(ticket, dict) else None
    if not isinstance(found, str) or not found.strip():
        return None
    return text_storable.text(language.normal(found)[:LONGEST_LANGUAGE])


def entry_of(kind: str, row: ApprovalRow, because: str | None = None) -> log.Entry:
    """Return the audit entry of an event of an approval."""
    return log.Entry(
        actor=f"run:{row.run}",
        kind=kind,
        tenant=row.tenant,
        run=row.run,
        subject=row.id,
        payload={
            "tool": row.tool,
            "binding": row.binding,
            "rule": row.rule,
            "needed": row.needed,
            "role": row.role,
            "because": because,
        },
    )
