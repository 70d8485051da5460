"""Decisions: committed with the person's identity, then delivered (P8, P9, P10)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import cast

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from orchestrator import canonical, plain_text, schema
from orchestrator.binding import DecisionKind, Signer, Statement
from orchestrator.errors import InvalidValue, KeyturnError, NotFound
from orchestrator.policy import APPROVER_RANK, Action, Verdict, judge, strictest
from orchestrator.prose import PROSE_KEY
from orchestrator.release import Release, ToolSpec
from orchestrator.status import ENDED_RUNS, ApprovalStatus
from orchestrator.store import asking, audit, moved, outbox, releases, runs
from orchestrator.store.engine import Store
from orchestrator.store.tables import ApprovalRow, CallRow, DecisionRow, RunRow

# P9: the decision holds a day, and nothing outlives a week (`runs.LONGEST_USABLE`).
USABLE_FOR = timedelta(hours=24)


class Person(BaseModel):
    """Who decides, as the session knows them."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    role: str
    kind: str = "person"
    tenant: str | None = None
    email: str | None = None
    session: str


class Answer(BaseModel):
    """What a person answered; `binding` is that of what they were shown."""

    model_config = ConfigDict(frozen=True)

    decision: DecisionKind
    binding: str
    arguments: dict[str, JsonValue] | None = None
    reason: str | None = None


class AlreadyDecided(KeyturnError):
    """Somebody was first; the text names who decided what."""

    def __init__(self, row: ApprovalRow, decisions: Sequence[DecisionRow]) -> None:
        """Name the approval's state and who brought it there."""
        self.approval = row.id
        self.status = row.status
        self.decided_by = tuple(one.person_name for one in decisions)
        super().__init__(_closed_words(row, decisions))


class StaleBinding(KeyturnError):
    """What the person saw is not what is asked now."""


class MayNotDecide(KeyturnError):
    """This person is not among those who may decide this."""


class EditRefused(KeyturnError):
    """The edited action is not allowed by policy."""


async def decide(  # noqa: PLR0913 one option besides what a decision is
    store: Store,
    signer: Signer,
    person: Person,
    approval: str,
    answer: Answer,
    *,
    may_undo: bool = True,
) -> ApprovalRow:
    """Commit a decision and what follows from it; return the approval as it is then.

    Without `may_undo` it takes effect at once, whatever window the tool declares.

    Raises `NotFound`, `MayNotDecide`, `AlreadyDecided`, `StaleBinding`, `InvalidValue`
    (an edit that misfits the tool's schema) or `EditRefused`; then nothing is changed.
    """
    async with store.write() as session:
        row, run, call = await lock(session, approval, tenant=person.tenant)
        now = await store.now(session)
        if may_undo:
            row.undo_until = now + await _undo_window(session, run, row.tool)
        await _check(session, row, run, person, answer, now=now)
        _check_reason(answer)
        if answer.arguments is not None and answer.decision == "approve":
            return await _Edit(session, store, signer, person).commit(
                row, run, call, answer, now=now
            )
        _sign(session, signer, person, row, answer, effective=row.binding, at=now)
        await session.flush()
        await _conclude(session, row, answer, now=now)
        return row


async def get(
    session: AsyncSession, approval: str, *, tenant: str | None = None
) -> ApprovalRow:
    """Return the approval, or raise `NotFound`, also for another tenant's."""
    row = await session.get(ApprovalRow, approval)
    if row is None or tenant not in (None, row.tenant):
        raise NotFound(kind="approval", name=approval)
    return row


async def listing(
    session: AsyncSession,
    *,
    status: ApprovalStatus | None,
    tenant: str | None = None,
    limit: int = 50,
    after: str | None = None,
) -> list[ApprovalRow]:
    """Return approvals, oldest first: who has waited longest comes first."""
    query = select(ApprovalRow).order_by(col(ApprovalRow.id)).limit(limit)
    if status is not None:
        query = query.where(col(ApprovalRow.status) == status)
    if tenant is not None:
        query = query.where(col(ApprovalRow.tenant) == tenant)
    if after is not None:
        query = query.where(col(ApprovalRow.id) > after)
    return list((await session.execute(query)).scalars())


async def decisions(session: AsyncSession, approval: str) -> list[DecisionRow]:
    """Return an approval's decisions, first first."""
    query = (
        select(DecisionRow)
        .where(col(DecisionRow.approval) == approval)
        .order_by(col(DecisionRow.id))
    )
    return list((await session.execute(query)).scalars())


async def decisions_of(
    session: AsyncSession, ids: Sequence[str]
) -> dict[str, list[DecisionRow]]:
    """Return the decisions of many approvals, by approval, first first."""
    query = (
        select(DecisionRow)
        .where(col(DecisionRow.approval).in_(ids))
        .order_by(col(DecisionRow.id))
    )
    found: dict[str, list[DecisionRow]] = {}
    for row in (await session.execute(query)).scalars():
        found.setdefault(row.approval, []).append(row)
    return found


def statement(row: DecisionRow) -> Statement:
    """Return what a decision's signature must cover."""
    return Statement(
        approval=row.approval,
        binding=row.binding,
        effective=row.effective,
        person=row.person,
        session=row.session,
        decision=cast("DecisionKind", row.decision),
        at=row.at,
    )


def why_not(row: ApprovalRow, run: RunRow, person: Person) -> str | None:
    """Return why this person may not decide this, or None where they may."""
    if person.kind != "person":
        return "a service decides nothing; sign in as a person"
    if person.tenant not in (None, row.tenant):
        return "it belongs to another tenant"
    rank = APPROVER_RANK.get(person.role, 0)
    if rank < APPROVER_RANK.get(row.role, 99):
        return f"it asks for the role {row.role}; yours is {person.role}"
    return _why_conflicted(row, run, person)


def _why_conflicted(row: ApprovalRow, run: RunRow, person: Person) -> str | None:
    """Return what of it is this person's own, or None."""
    if person.id == run.customer or _is_contact(person, run):
        return "it is for you yourself; somebody else decides it"
    if person.id == run.started_by:
        return "you started this run; somebody else decides what it does"
    if person.id in row.not_by:
        return "you made this edit; it needs another person's yes"
    return None


def _is_contact(person: Person, run: RunRow) -> bool:
    """Tell whether the run writes to this person, who would benefit from it."""
    if person.email is None or run.contact is None:
        return False
    return person.email.casefold() == run.contact.casefold()


class _Edit:
    """An approval with other arguments (P10)."""

    def __init__(
        self, session: AsyncSession, store: Store, signer: Signer, person: Person
    ) -> None:
        self._session = session
        self._store = store
        self._signer = signer
        self._person = person

    async def commit(
        self,
        row: ApprovalRow,
        run: RunRow,
        call: CallRow,
        answer: Answer,
        *,
        now: datetime,
    ) -> ApprovalRow:
        release = await releases.load(self._session, run.release)
        spec = release.tool(call.tool)
        edited = cast("dict[str, JsonValue]", answer.arguments)
        schema.check(edited, spec.parameters)
        plain_text.refuse_control_characters(edited)
        _check_money(spec, edited)
        verdict = await self._judge(run, call, release, edited, now=now)
        shown = cast("dict[str, JsonValue]", canonical.parse(row.arguments))
        own = _is_own_to_approve(spec, shown, edited)
        call.effective = canonical.text(edited)
        if own and row.needed == 1 and verdict.approvers <= 1:
            return await self._approve(row, run, call, release, answer, now=now)
        return await self._ask_again(
            row, run, call, release, (answer, verdict, own), now=now
        )

    async def _judge(
        self,
        run: RunRow,
        call: CallRow,
        release: Release,
        edited: dict[str, JsonValue],
        *,
        now: datetime,
    ) -> Verdict:
        spec = release.tool(call.tool)
        money = asking.declared_money(spec, edited)
        subject = asking.subject_of(spec, edited)
        action = Action(
            tool=call.tool,
            arguments=edited,
            money=money,
            moved=await moved.before(
                self._session, run, release, subject=subject, money=money, now=now
            ),
        )
        _, live = await releases.live(self._session, run.workflow)
        if spec.money is not None and money is None:
            # Its money is worked out by code that only the effect worker has.
            return Verdict(kind="ask", approvers=1, rule="edited; judged when it acts")
        verdict = strictest(judge(release.rules, action), judge(live.rules, action))
        if verdict.kind == "deny":
            raise EditRefused(
                f"The edited {call.tool} is not allowed: {verdict.rule}. Your draft is "
                "kept; change it or reject the action."
            )
        return verdict

    async def _approve(  # noqa: PLR0913 the rows that the decision locked
        self,
        row: ApprovalRow,
        run: RunRow,
        call: CallRow,
        release: Release,
        answer: Answer,
        *,
        now: datetime,
    ) -> ApprovalRow:
        spec = release.tool(call.tool)
        edited = asking.declared_money(spec, answer.arguments)
        if edited is not None:
            row.amount, row.currency = edited.amount, edited.currency
        row.effective = call.effective
        row.effective_binding = asking.bind(run, call, release, row.preview or "null")
        _sign(
            self._session,
            self._signer,
            self._person,
            row,
            answer,
            effective=row.effective_binding,
            at=now,
        )
        await self._session.flush()
        await _conclude(self._session, row, answer, now=now)
        return row

    async def _ask_again(  # noqa: PLR0913 the rows that the decision locked
        self,
        row: ApprovalRow,
        run: RunRow,
        call: CallRow,
        release: Release,
        edit: tuple[Answer, Verdict, bool],
        *,
        now: datetime,
    ) -> ApprovalRow:
        """Put the edit to other people, as a revision of its own."""
        answer, verdict, own = edit
        spec = release.tool(call.tool)
        asking.close(
            self._session,
            row,
            status="void",
            because=f"replaced by an edit of {self._person.name}",
            now=now,
        )
        call.revision += 1
        subject = asking.subject_of(spec, answer.arguments)
        same_subject, call.subject = subject == call.subject, subject
        before = Verdict.model_validate(row.verdict)
        fresh = asking.ask(
            self._session,
            run,
            call,
            release,
            strictest(before, verdict),
            preview=row.preview if same_subject else None,
            money=asking.declared_money(spec, answer.arguments),
            reason=row.reason,
            now=now,
            # Who only lowers it signs it below; whoever raised it before still may not.
            not_by=row.not_by if own else [*row.not_by, self._person.id],
        )
        await self._session.flush()
        if own and fresh.binding is not None and fresh.needed > 1:
            # Less money or other wording is the editor's own yes; others add theirs.
            mine = answer.model_copy(update={"binding": fresh.binding})
            _sign(
                self._session,
                self._signer,
                self._person,
                fresh,
                mine,
                effective=fresh.binding,
                at=now,
            )
        outbox.add(self._session, "wake", run.id, at=now)
        return fresh


def _check_money(spec: ToolSpec, edited: dict[str, JsonValue]) -> None:
    """Raise `InvalidValue` for what a JSON Schema cannot tell: a made-up currency."""
    try:
        asking.declared_money(spec, edited)
    except ValidationError as error:
        raise InvalidValue(f"{spec.money}: {error.errors()[0]['msg']}") from None


def _is_own_to_approve(
    spec: ToolSpec, shown: dict[str, JsonValue], edited: dict[str, JsonValue]
) -> bool:
    """Tell whether the edit is only less money or other wording."""
    names = set(shown) | set(edited)
    changed = [name for name in names if shown.get(name) != edited.get(name)]
    return all(
        _is_less_money(spec, name, shown, edited) or _is_wording(spec, name)
        for name in changed
    )


def _is_less_money(
    spec: ToolSpec,
    name: str,
    shown: dict[str, JsonValue],
    edited: dict[str, JsonValue],
) -> bool:
    if name != spec.money:
        return False
    old, new = asking.declared_money(spec, shown), asking.declared_money(spec, edited)
    if old is None or new is None:
        return False
    return new.currency == old.currency and new.amount <= old.amount


def _is_wording(spec: ToolSpec, name: str) -> bool:
    properties = spec.parameters.get("properties")
    field = properties.get(name) if isinstance(properties, dict) else None
    return isinstance(field, dict) and field.get(PROSE_KEY) is True


async def lock(
    session: AsyncSession, approval: str, *, tenant: str | None
) -> tuple[ApprovalRow, RunRow, CallRow]:
    """Return an approval with its run and call, locked in that order of run first.

    Raises `NotFound`, also for another tenant's.
    """
    found = await get(session, approval, tenant=tenant)
    run = await runs.get(session, found.run, lock=True)
    await session.refresh(found, with_for_update=True)
    key = (found.run, found.turn, found.index)
    call = await session.get(CallRow, key, with_for_update=True)
    if call is None:
        raise NotFound(kind="call", name=f"{found.run}:{found.turn}.{found.index}")
    return found, run, call


async def _check(  # noqa: PLR0913 all that a decision is checked against
    session: AsyncSession,
    row: ApprovalRow,
    run: RunRow,
    person: Person,
    answer: Answer,
    *,
    now: datetime,
) -> None:
    given = await decisions(session, row.id)
    if row.status != "pending" or run.status in ENDED_RUNS:
        raise AlreadyDecided(row, given)
    if (run.stopped_at or now) > row.answer_by:
        raise AlreadyDecided(row, given)
    reason = why_not(row, run, person)
    if reason is not None:
        raise MayNotDecide(f"You cannot decide {row.id}: {reason}.")
    if any(one.person == person.id for one in given):
        raise AlreadyDecided(row, given)
    if row.binding is None:
        raise StaleBinding(
            f"{row.id} is being prepared: its facts are read again after an edit. "
            "Look again in a moment."
        )
    if answer.binding != row.binding:
        raise StaleBinding(
            f"{row.id} has changed since it was shown to you. Nothing was decided; "
            "read it again and decide on what it says now."
        )


def _check_reason(answer: Answer) -> None:
    if answer.decision != "approve" and not (answer.reason or "").strip():
        raise InvalidValue(
            "reason: a rejection needs a reason; the model reads it and goes on from it"
        )


def _sign(  # noqa: PLR0913 one decision, whole
    session: AsyncSession,
    signer: Signer,
    person: Person,
    row: ApprovalRow,
    answer: Answer,
    *,
    effective: str | None,
    at: datetime,
) -> None:
    signed = Statement(
        approval=row.id,
        binding=answer.binding,
        effective=effective or answer.binding,
        person=person.id,
        session=person.session,
        decision=answer.decision,
        at=at,
    )
    edited = canonical.text(answer.arguments) if answer.arguments else None
    session.add(
        DecisionRow(
            **signed.model_dump(),
            person_name=person.name,
            arguments=edited,
            reason=answer.reason,
            signature=signer.sign(signed),
        )
    )
    audit.record(
        session,
        audit.Entry(
            actor=person.id,
            kind=f"decision.{answer.decision}",
            tenant=row.tenant,
            run=row.run,
            subject=row.id,
            payload={
                "binding": answer.binding,
                "effective": signed.effective,
                "edited": edited is not None,
                "session": person.session,
            },
        ),
        at=at,
    )


async def _conclude(
    session: AsyncSession, row: ApprovalRow, answer: Answer, *, now: datetime
) -> None:
    """Close the approval where this decision settles it, and ring the run."""
    if answer.decision == "approve":
        given = await decisions(session, row.id)
        if len({one.person for one in given}) < row.needed:
            return
        row.status = "approved"
        usable = max(now, row.undo_until or now) + USABLE_FOR
        row.usable_until = min(usable, row.created_at + runs.LONGEST_USABLE)
    else:
        row.status = "rejected" if answer.decision == "reject" else "changes"
    row.closed_at = now
    outbox.add(session, "decision", row.run, at=now, approval=row.id)


async def _undo_window(session: AsyncSession, run: RunRow, tool: str) -> timedelta:
    release = await releases.load(session, run.release)
    return release.tool(tool).undo


def _closed_words(row: ApprovalRow, given: Sequence[DecisionRow]) -> str:
    if row.status == "pending" and not given:
        return f"{row.id} was to be answered by {row.answer_by:%Y-%m-%d %H:%M} UTC."
    who = ", ".join(f"{one.person_name} decided {one.decision}" for one in given)
    because = f" ({row.closed_because})" if row.closed_because else ""
    return f"{row.id} is {row.status}{because}. {who or 'Nobody decided it'}."
