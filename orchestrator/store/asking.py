"""Asking people: an approval is made, asked again, or closed."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import and_, col, or_, select

from orchestrator.rules.authority.binding import Binding
from orchestrator.rules.contract.release import COMPUTED, Release, ToolSpec
from orchestrator.rules.errors import InvalidValue, in_words
from orchestrator.rules.money.money import Money
from orchestrator.rules.policy.rules import Verdict
from orchestrator.rules.status import CallStatus
from orchestrator.rules.text import canonical, language, scrub
from orchestrator.store import assignment, audit, reach
from orchestrator.store.tables import (
    ApprovalRow,
    CallRow,
    CustomerMessageRow,
    RunRow,
)

LONGEST_LANGUAGE = 35
CUSTOMER_WROTE = "the customer wrote again"
# So much of the time to answer passes before people are warned that it runs out.
WARN_AFTER = 0.75


def call_id(call: CallRow) -> str:
    """Return `run:turn.index`."""
    return f"{call.run}:{call.turn}.{call.index}"


def effect_key(call: CallRow) -> str:
    """Return the one key of this revision of the call: `run:turn.index.revision`."""
    return f"{call_id(call)}.{call.revision}"


def approval_id(call: CallRow) -> str:
    """Return the id of the approval of this revision of the call."""
    return effect_key(call).replace(":", "-").replace(".", "-").replace("run-", "ap-")


def effective(call: CallRow) -> str:
    """Return the arguments that would be carried out, as canonical JSON."""
    return call.effective or call.arguments


def subject_of(spec: ToolSpec, arguments: object) -> str | None:
    """Return `field=value` of what the call acts on, where the tool names one."""
    if spec.subject is None or not isinstance(arguments, dict):
        return None
    value = arguments.get(spec.subject)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] parsed JSON
    written = value if isinstance(value, str) else canonical.text(value)  # pyright: ignore[reportUnknownArgumentType] as above
    return reach.named(spec, storable(written))


def declared_money(spec: ToolSpec, arguments: object) -> Money | None:
    """Return the money in the field that the tool names; None where code works it out.

    Raises `InvalidValue` for a currency that there is not.
    """
    if spec.money in (None, COMPUTED) or not isinstance(arguments, dict):
        return None
    value = arguments.get(spec.money)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] parsed JSON
    if not isinstance(value, dict):
        return None
    try:
        return Money(**value)  # pyright: ignore[reportUnknownArgumentType] as above
    except ValidationError as error:
        # A schema cannot tell which currencies there are.
        why = in_words(error.errors()[0])
        raise InvalidValue(f"{spec.money}: {why}") from None


def shown(row: ApprovalRow) -> Money | None:
    """Return the money that an approval shows."""
    if row.amount is None or row.currency is None:
        return None
    return Money(row.amount, row.currency)


def bind(run: RunRow, call: CallRow, release: Release, preview: str) -> str:
    """Return the binding of a call as it would be carried out now."""
    return Binding(
        run=run.id,
        call=effect_key(call),
        tool=call.tool,
        arguments=canonical.parse(effective(call)),
        contract=run.release,
        policy=release.policy_hash(),
        preview=canonical.parse(preview),
    ).digest()


async def ask(  # noqa: PLR0913 every one of these is what a person is asked about
    session: AsyncSession,
    run: RunRow,
    call: CallRow,
    release: Release,
    verdict: Verdict,
    *,
    preview: str | None,
    money: Money | None,
    reason: str,
    now: datetime,
    not_by: Sequence[str] = (),
    barred: Mapping[str, str] | None = None,
    waits: bool = False,
) -> ApprovalRow:
    """Add a pending approval for this revision of the call, and return it.

    Without a preview it waits for `perform` to read the facts before it can be decided.
    Where the rule assigns, the system picks who decides it. `barred` says why somebody
    of `not_by` is. One that `waits` for other actions is offered by `offer` alone.
    """
    redraft_of, sent_back = await _thread(session, call)
    row = ApprovalRow(
        id=approval_id(call),
        status="waiting" if waits else "pending",
        run=run.id,
        turn=call.turn,
        index=call.index,
        revision=call.revision,
        tenant=run.tenant,
        workflow=run.workflow,
        customer=run.customer,
        tool=call.tool,
        subject=call.subject,
        arguments=effective(call),
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
        reason=storable(reason),
        not_by=list(not_by),
        barred=dict(barred or {}),
        team=release.owner,
        language=_language(run),
        redraft_of=redraft_of,
        round=sent_back,
        answer_by=now + verdict.within,
        created_at=now,
    )
    session.add(row)
    if waits:
        audit.record(session, _entry("approval.waits", row), at=now)
    else:
        offer(session, row, now=now)
    return row


def offer(session: AsyncSession, row: ApprovalRow, *, now: datetime) -> None:
    """Ask people for an approval, who have all of its time from now on.

    Where the rule assigns, the web process picks who decides it
    (`orchestrator.store.reassigning.Assigning`): a worker may not.
    """
    verdict = Verdict.model_validate(row.verdict)
    row.status, row.answer_by = "pending", now + verdict.within
    warn_later(row, now=now)
    audit.record(session, _entry("approval.asked", row), at=now)


async def latest(
    session: AsyncSession, call: CallRow, *, lock: bool = False
) -> ApprovalRow | None:
    """Return the approval of the call's current revision."""
    query = select(ApprovalRow).where(
        col(ApprovalRow.run) == call.run,
        col(ApprovalRow.turn) == call.turn,
        col(ApprovalRow.index) == call.index,
        col(ApprovalRow.revision) == call.revision,
    )
    if lock:
        query = query.with_for_update()
    return (await session.execute(query)).scalar_one_or_none()


def close(
    session: AsyncSession, row: ApprovalRow, *, status: str, because: str, now: datetime
) -> None:
    """End an approval without a decision, and say why."""
    row.status, row.closed_because, row.closed_at = status, because, now
    audit.record(session, _entry(f"approval.{status}", row, because), at=now)


def escalate(session: AsyncSession, row: ApprovalRow, *, now: datetime) -> bool:
    """Ask the next role of the chain, with its own time; False where there is none.

    Where the rule assigns, the web process picks anew.
    """
    chain = Verdict.model_validate(row.verdict).escalate
    if row.level >= len(chain):
        return False
    step = chain[row.level]
    row.level += 1
    row.role, row.answer_by = step.role, now + step.within
    warn_later(row, now=now)
    # Whoever looks at it may not be of the role that is asked now.
    assignment.free(row)
    because = f"nobody answered in time; {step.role} is asked now"
    audit.record(session, _entry("approval.escalated", row, because), at=now)
    row.assigned_to = None
    return True


def warn_later(row: ApprovalRow, *, now: datetime) -> None:
    """Have people warned once most of the time that is left from `now` has passed."""
    row.warn_at = now + (row.answer_by - now) * WARN_AFTER
    row.warned_at = None


def end_call(
    session: AsyncSession,
    call: CallRow,
    status: CallStatus,
    words: str,
    *,
    now: datetime,
) -> None:
    """Give a call its answer: what the model reads."""
    # What was done is data; all else may quote somebody's error.
    words = words if status == "done" else scrub.text(words)
    call.status, call.result, call.ended_at = status, storable(words), now
    call.held_by = call.held_at = call.held_seen = None
    entry = audit.Entry(
        actor=f"run:{call.run}",
        kind=f"call.{status}",
        run=call.run,
        subject=call_id(call),
        payload={"tool": call.tool, "revision": call.revision, "words": words[:500]},
    )
    if call.gate != "read":
        audit.record(session, entry, at=now)


async def show_waiting(session: AsyncSession, run: RunRow) -> None:
    """Say that a run waits for people where a call of it still does."""
    if run.status != "running":
        return
    query = select(ApprovalRow.id).where(
        col(ApprovalRow.run) == run.id, col(ApprovalRow.status) == "pending"
    )
    if (await session.execute(query.limit(1))).first() is not None:
        run.status = "waiting"


async def has_customer_written(
    session: AsyncSession, call: CallRow, *, since: datetime | None = None
) -> bool:
    """Tell whether there is a message that the model had not read when it drafted.

    Or one that came `since` somebody decided, whichever turn is said to have read it.
    """
    late = [col(CustomerMessageRow.created_at) > since] if since is not None else []
    query = select(CustomerMessageRow.id).where(
        col(CustomerMessageRow.run) == call.run,
        or_(
            col(CustomerMessageRow.turn).is_(None),
            col(CustomerMessageRow.turn) > call.turn,
            *late,
        ),
    )
    return (await session.execute(query.limit(1))).first() is not None


def storable(words: str) -> str:
    """Return words without the characters that a database's text cannot hold."""
    return canonical.mend_text(words).replace("\x00", "\ufffd")


async def _thread(session: AsyncSession, call: CallRow) -> tuple[str | None, int]:
    """Return what this drafts anew, and how often it was sent back before.

    A redraft is the next call of the same tool on the same subject in its run; another
    revision of the call stays where it stands in its thread.
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
    """Return the ticket's language, where its input has a field of that name."""
    ticket = canonical.parse(run.input)
    found = ticket.get("language") if isinstance(ticket, dict) else None
    if not isinstance(found, str) or not found.strip():
        return None
    return storable(language.normal(found)[:LONGEST_LANGUAGE])


def _entry(kind: str, row: ApprovalRow, because: str | None = None) -> audit.Entry:
    return audit.Entry(
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
