"""Runs in the record: started once, paused, resumed and ended."""

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue
from sqlalchemy import Select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, or_, select, update

from orchestrator.rules.authority import hold
from orchestrator.rules.authority.switch import Target, holding
from orchestrator.rules.contract.release import Release
from orchestrator.rules.errors import InvalidValue, KeyturnError, NotFound
from orchestrator.rules.status import (
    COMPENSATE,
    ENDED_RUNS,
    IN_TEMPORAL,
    OPEN_APPROVALS,
    RunStatus,
)
from orchestrator.rules.text import canonical, plain_text, schema
from orchestrator.store import (
    asking,
    audit,
    counting,
    digests,
    holds,
    ledger,
    open_rows,
    outbox,
    overstayed,
    releases,
    sources,
    standing,
    switches,
    tenants,
)
from orchestrator.store.counting import Total
from orchestrator.store.engine import Store
from orchestrator.store.sources import Origin
from orchestrator.store.tables import (
    ApprovalRow,
    AttemptRow,
    AuditRow,
    CallRow,
    CustomerMessageRow,
    EffectRow,
    NoteRow,
    RunRow,
    StepRow,
)

RESTARTED = "run.started_again"
RESTART_AGAIN = timedelta(seconds=15)
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class NewRun(BaseModel):
    """What starts a run; `started_by` is the person's id from the session."""

    model_config = ConfigDict(frozen=True)

    workflow: str
    input: dict[str, JsonValue]
    tenant: str
    source: str | None = None
    external_id: str | None = None
    started_by: str | None = None
    # The source is a label of ours: its external ids are the account's own.
    is_own_source: bool = False

    def origin(self) -> Origin | None:
        """Return where the run comes from; None without an external id."""
        if self.external_id is None:
            return None
        return sources.of(
            self.source,
            self.external_id,
            by=self.started_by,
            is_own=self.is_own_source,
        )


class Fitted(BaseModel):
    """An input as it is kept, and for which release it was found to fit."""

    model_config = ConfigDict(frozen=True)

    release: str
    text: str


class RunEnded(KeyturnError):
    """The run has ended, so it cannot be paused, resumed, cancelled or written to."""

    def __init__(self, run: str, status: str) -> None:
        """Name the run and how it ended."""
        self.run = run
        self.status = status
        super().__init__(f"Run {run} has ended ({status}); nothing was changed.")


class ExternalIdReused(KeyturnError):
    """The external id named something else before."""


class NotStarted(KeyturnError):
    """A switch keeps new runs from starting."""


def new_id(kind: str, *, now: float | None = None) -> str:
    """Return an id that sorts by time: kind, 48 bits of milliseconds, 40 random."""
    stamp = int((time.time() if now is None else now) * 1000)
    value, digits = (stamp << 40) | secrets.randbits(40), ""
    for _ in range(18):
        value, digit = divmod(value, 32)
        digits = _ALPHABET[digit] + digits
    return f"{kind}-{digits}"


async def start(store: Store, new: NewRun) -> tuple[RunRow, bool]:
    """Return the run and whether it is new.

    The same source and external id, in any spelling, give the first run, for ever.
    Raises `ExternalIdReused` where they named another input, workflow or tenant,
    `SourceTaken` where the source is another account's, `UndeclaredTenant`, `NotFound`
    for an unknown workflow, `InvalidValue` for an input that misfits its schema or size,
    `NotStarted` where a switch holds the workflow.
    """
    plain_text.check(new.model_dump(exclude={"input", "is_own_source"}))
    found = await _earlier(store, new)
    if found is not None:
        return found, False
    fitted = await _fit(store, new)
    try:
        async with store.write() as session:
            return await insert(session, store, new, fitted), True
    except IntegrityError:
        found = await _earlier(store, new)
        if found is None:
            raise
        return found, False


async def get(session: AsyncSession, run: str, *, lock: bool = False) -> RunRow:
    """Return the run, or raise `NotFound`.

    The lock lets others add rows that refer to the run: its key never changes.
    """
    how = {"key_share": True} if lock else None
    row = await session.get(RunRow, run, with_for_update=how)
    if row is None:
        raise NotFound(kind="run", name=run)
    if lock and row.status not in ENDED_RUNS:
        await _stand_under(session, row)
    return row


async def _stand_under(session: AsyncSession, row: RunRow) -> None:
    """Mark a locked run with the pause or cancel by filter that has not reached it."""
    for bulk in await standing.over(session, row):
        if bulk.verb == "cancel" and row.cancel_reason is None:
            # Whole, for this may be stopped before it reaches the run by itself.
            await mark_cancelled(session, row, reason=bulk.reason, at=bulk.created_at)
            _note(
                session, row, "run.cancelled", bulk.by, bulk.reason, at=bulk.created_at
            )
        elif bulk.verb == "pause" and row.paused_by is None:
            mark_paused(row, by=bulk.by, reason=bulk.reason, at=bulk.created_at)
            _note(
                session,
                row,
                "run.paused",
                bulk.by,
                bulk.reason,
                at=bulk.created_at,
            )


def mark_paused(row: RunRow, *, by: str, reason: str, at: datetime) -> None:
    """Mark a run as paused since then."""
    row.paused_by, row.pause_reason = by, reason
    holds.stop(row, hold.by_pause(by), now=at)


async def mark_cancelled(
    session: AsyncSession, row: RunRow, *, reason: str, at: datetime
) -> None:
    """Mark a run as cancelled, close what waits, and ring it."""
    row.cancel_reason = reason
    await cancel_approvals(session, row.id, now=at)
    outbox.add(session, "cancel", row.id, at=at)


class Filter(BaseModel):
    """Which runs to list; None means any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workflow: str | None = None
    status: RunStatus | None = None
    tenant: str | None = None
    customer: str | None = None


async def listing(
    session: AsyncSession, wanted: Filter, *, limit: int, before: str | None = None
) -> list[RunRow]:
    """Return runs, newest first; `before` is the last id of the page before."""
    query = _fits(select(RunRow), wanted).limit(limit)
    if before is not None:
        query = query.where(col(RunRow.id) < before)
    return list((await session.execute(query)).scalars())


async def total(session: AsyncSession, wanted: Filter) -> Total:
    """Return how many runs fit."""
    return await counting.total(session, _fits(select(RunRow.id), wanted))


def _fits(query: Any, wanted: Filter) -> Any:  # noqa: ANN401 a select of runs
    query = query.order_by(col(RunRow.id).desc())
    for name, value in wanted.model_dump(exclude_none=True).items():
        query = query.where(getattr(RunRow, name) == value)
    return query


async def pending_approvals(
    session: AsyncSession, runs: Sequence[str]
) -> dict[str, list[str]]:
    """Return the ids of what waits for people, by run."""
    query = (
        select(ApprovalRow.run, ApprovalRow.id)
        .where(col(ApprovalRow.run).in_(runs), open_rows.approvals())
        .order_by(col(ApprovalRow.id))
    )
    found: dict[str, list[str]] = {}
    for run, approval in (await session.execute(query)).all():
        found.setdefault(run, []).append(approval)
    return found


async def pause(store: Store, run: str, *, by: str, reason: str) -> RunRow:
    """Hold a run: no model is called and nothing is sent until it is resumed."""
    return await overstayed.with_way_made(
        store, lambda: _pause(store, run, by=by, reason=reason)
    )


async def _pause(store: Store, run: str, *, by: str, reason: str) -> RunRow:
    async with store.write() as session:
        await store.raise_barrier(session)
        resumes = await standing.spare(session, run, verb="resume")
        row = await get(session, run, lock=True)
        _must_be_open(row)
        now = await store.now(session)
        # One that many are being resumed with is paused no more: this pause is its own.
        is_resumed = any(standing.matches(one, row) for one in resumes)
        if row.paused_by is None or is_resumed:
            mark_paused(row, by=by, reason=reason, at=now)
            _note(session, row, "run.paused", by, reason, at=now)
        return row


async def resume(store: Store, run: str, *, by: str, reason: str) -> RunRow:
    """Let a paused run go on; its deadlines move by the time it was held.

    One that nothing holds is rung all the same: it looks at what it waits for.
    """
    async with store.write() as session:
        await standing.spare(session, run, verb="pause")
        row = await get(session, run, lock=True)
        _must_be_open(row)
        now = await store.now(session)
        if row.paused_by is not None or row.stopped_by is not None:
            row.paused_by = row.pause_reason = None
            await holds.free_paused(session, [row], now=now)
            # Nobody has looked yet: it waits to be picked up, as when it began.
            await holds.go_on(session, row, status="queued", now=now)
            outbox.add(session, "resume", run, at=now)
            _note(session, row, "run.resumed", by, reason, at=now)
        elif row.status != "queued":
            outbox.add(session, "wake", run, at=now)
            _note(session, row, "run.rung", by, reason, at=now)
        return row


async def cancel(store: Store, run: str, *, by: str, reason: str) -> RunRow:
    """End a run: what waits is cancelled, what is being sent is still recorded."""
    return await overstayed.with_way_made(
        store, lambda: _cancel(store, run, by=by, reason=reason)
    )


async def _cancel(store: Store, run: str, *, by: str, reason: str) -> RunRow:
    async with store.write() as session:
        await store.raise_barrier(session)
        row = await get(session, run, lock=True)
        _must_be_open(row)
        now = await store.now(session)
        if row.cancel_reason is None:
            await mark_cancelled(session, row, reason=reason, at=now)
            _note(session, row, "run.cancelled", by, reason, at=now)
        return row


async def customer_wrote(
    store: Store, run: str, *, text: str, external_id: str | None, by: str
) -> RunRow:
    """Take in a new message; drafts that wait are void and will be drafted again.

    Raises `InvalidValue` for a text that is none, or too long, `ExternalIdReused` for
    another text under an external id that came before.
    """
    plain_text.check({"text": text, "external_id": external_id})
    try:
        async with store.write() as session:
            row = await get(session, run, lock=True)
            _must_be_open(row)
            now = await store.now(session)
            session.add(
                CustomerMessageRow(
                    run=run, text=text, by=by, external_id=external_id, created_at=now
                )
            )
            await session.flush()
            await _void_approvals(session, run, now=now)
            outbox.add(session, "wake", run, at=now)
            _note(session, row, "run.customer_wrote", by, None, at=now)
            return row
    except IntegrityError:
        # The same message came before, under the same external id.
        async with store.read() as session:
            await _refuse_another_text(session, run, external_id, text)
            return await get(session, run)


async def _refuse_another_text(
    session: AsyncSession, run: str, external_id: str | None, text: str
) -> None:
    query = select(CustomerMessageRow.text).where(
        col(CustomerMessageRow.run) == run,
        col(CustomerMessageRow.external_id) == external_id,
    )
    if (await session.execute(query)).scalar_one_or_none() != text:
        raise ExternalIdReused(
            f"The message {external_id!r} of run {run} came before with another text; "
            "nothing was taken in. Send this one under an external id of its own."
        )


Outcome = Literal["completed", "handed_off", "failed", "cancelled"]


class Ending(BaseModel):
    """How a run ended, and what it leaves."""

    model_config = ConfigDict(frozen=True)

    outcome: Outcome
    step: int | None = None
    output: dict[str, JsonValue] | None = None
    reason: str | None = None
    detail: str | None = None


class NoSuchEnd(KeyturnError):
    """A run was to end in a way that the record says nothing of.

    `may_have_been`: the record may have said so a moment ago, as of a cancel of many that
    was stopped since.
    """

    def __init__(self, words: str, *, may_have_been: bool = False) -> None:
        """Say how it was to end."""
        super().__init__(words)
        self.may_have_been = may_have_been


async def finish(store: Store, run: str, ending: Ending) -> bool:
    """Record how a run ended; a second call changes nothing.

    False where a pause or a halt holds its end: lifting it rings the run. Raises
    `NoSuchEnd` for an end that the record says nothing of.
    """
    async with store.write(first=True) as session:
        await store.share_barrier(session)
        row = await get(session, run, lock=True)
        await _check_end(session, row, ending)
        now = await store.now(session)
        step = await _last_step(session, run)
        by = await end_held_by(session, row, now=now)
        if by is not None:
            await holds.hold_step(session, row, step, by, now=now)
            return False
        await end(session, row, ending, now=now)
        return True


async def _check_end(session: AsyncSession, row: RunRow, ending: Ending) -> None:
    if row.status in ENDED_RUNS:
        return
    if ending.outcome == "cancelled" and row.cancel_reason is None:
        words = "it was to end as cancelled, and nobody cancelled it"
        raise NoSuchEnd(words, may_have_been=True)
    if ending.outcome == "completed" and row.compensates is not None:
        query = open_calls(row.id).limit(1)
        if (await session.execute(query)).first() is not None:
            raise NoSuchEnd("it was to end while what takes an effect back is open")
    elif ending.outcome == "completed" and ending.step is not None:
        step = await session.get(StepRow, (row.id, ending.step))
        if step is None or step.output is None:
            raise NoSuchEnd(
                f"it was to end with the output of step {ending.step}, which has none"
            )


async def end_held_by(
    session: AsyncSession, row: RunRow, *, now: datetime
) -> str | None:
    """Return the pause or halt that holds a locked run's end, or None.

    The transaction shares the barrier: once a halt is set, no run in its scope ends.
    """
    if row.status in ENDED_RUNS or row.cancel_reason is not None:
        return None
    if row.paused_by is not None:
        return hold.by_pause(row.paused_by)
    target = Target(tenant=row.tenant, workflow=row.workflow)
    found = holding(await switches.active(session, now=now), target)
    is_halted = found is not None and found.mode == "halt"
    return hold.by_switch(found.id) if found is not None and is_halted else None


async def _last_step(session: AsyncSession, run: str) -> StepRow | None:
    query = select(StepRow).where(col(StepRow.run) == run)
    query = query.order_by(col(StepRow.step).desc()).limit(1).with_for_update()
    return (await session.execute(query)).scalar_one_or_none()


async def end(
    session: AsyncSession, row: RunRow, ending: Ending, *, now: datetime
) -> None:
    """Record in this transaction how a locked run ended; one that has is let be."""
    if row.status in ENDED_RUNS:
        return
    if ending.outcome == "completed" and row.cancel_reason is not None:
        # The last answer came while somebody cancelled: what they were told holds.
        ending = ending.model_copy(update={"outcome": "cancelled"})
    if ending.outcome == "completed" and await _has_unread(session, row.id):
        words = "the customer wrote again at the very end"
        ending = ending.model_copy(update={"outcome": "handed_off", "reason": words})
        row.output = await _output(session, row.id, ending)
    failed_later = await _failed_later_or_free(session, row.id, now=now)
    if ending.outcome != "handed_off" and failed_later is not None:
        words = f"{failed_later.tool} was done and failed later"
        ending = ending.model_copy(update={"outcome": "handed_off", "reason": words})
        row.output = await _output(session, row.id, ending)
    row.status, row.ended_at = ending.outcome, now
    row.stopped_by = row.stopped_at = None
    row.failing = _still_failing(row, ending)
    await holds.clear(session, row.id)
    if ending.outcome == "completed":
        row.output = await _output(session, row.id, ending)
    if ending.outcome == "handed_off":
        # A fallback has left its reason already: words stay out of the workflow.
        given = {"reason": ending.reason, "detail": ending.detail}
        row.handed_off = row.handed_off or given
    if ending.outcome == "failed":
        left = (row.handed_off or {}).get("reason")
        words = left or ending.detail or ending.reason or ""
        row.failure, row.handed_off = asking.storable(words), None
    await cancel_approvals(session, row.id, now=now)
    audit.record(
        session,
        audit.Entry(
            actor=f"run:{row.id}",
            kind=f"run.{ending.outcome}",
            tenant=row.tenant,
            run=row.id,
            payload={"reason": ending.reason, "release": row.release},
        ),
        at=now,
    )


def _still_failing(row: RunRow, ending: Ending) -> dict[str, Any] | None:
    """Return what an ended run shows to have failed: what led to an end that is none."""
    if ending.outcome == "completed":
        return None
    found = (row.failing or {}).items()
    return {place: one for place, one in found if place != IN_TEMPORAL} or None


_Columns = tuple[str, str, str | None, dict[str, Any] | None]


class OpenRun(BaseModel):
    """A run that has not ended, and the workflow that carries it out.

    `failing`: the places of it whose failures are shown.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    workflow: str
    failing: tuple[str, ...] = ()


async def open_runs(
    store: Store, *, after: str, grace: timedelta, limit: int
) -> list[OpenRun]:
    """Return runs older than `grace` that are neither ended nor paused, by id."""
    async with store.read() as session:
        query = _open(after, await store.now(session) - grace, limit)
        return await _found(session, query.where(open_rows.runs()))


async def busy_runs(
    store: Store, *, after: str, grace: timedelta, limit: int
) -> list[OpenRun]:
    """Return those of them that wait for no person, no switch and no model, by id."""
    asking_a_model = select(AttemptRow.run).where(open_rows.sent_attempts())
    async with store.read() as session:
        query = _open(after, await store.now(session) - grace, limit)
        query = query.where(open_rows.busy_runs())
        return await _found(session, query.where(~col(RunRow.id).in_(asking_a_model)))


def _open(after: str, begun_by: datetime, limit: int) -> Select[*_Columns]:
    return (
        select(
            col(RunRow.id),
            col(RunRow.workflow),
            col(RunRow.compensates),
            col(RunRow.failing),
        )
        .where(col(RunRow.id) > after, col(RunRow.paused_by).is_(None))
        .where(col(RunRow.created_at) <= begun_by)
        .order_by(col(RunRow.id))
        .limit(limit)
    )


async def _found(session: AsyncSession, query: Select[*_Columns]) -> list[OpenRun]:
    rows = (await session.execute(query)).all()
    return [
        OpenRun(
            id=name,
            workflow=workflow if taken_back is None else COMPENSATE,
            failing=tuple(failing or ()),
        )
        for name, workflow, taken_back, failing in rows
    ]


async def note_restart(store: Store, run: str, *, why: str) -> bool:
    """Record that a lost run is started again; False where it should not be.

    One that is lost again and again is started ever more slowly.
    """
    async with store.write() as session:
        row = await get(session, run, lock=True)
        now = await store.now(session)
        before = select(func.count(), func.max(col(AuditRow.at))).where(
            col(AuditRow.run) == run, col(AuditRow.kind) == RESTARTED
        )
        times, last = (await session.execute(before)).one()
        if row.status in ENDED_RUNS:
            return False
        if times and now - last < RESTART_AGAIN * 2 ** min(times, 8):
            return False
        _note(session, row, RESTARTED, "system", why, at=now)
        return True


async def add_note(  # noqa: PLR0913 who said what of which run
    store: Store, run: str, *, person: str, person_name: str, kind: str, text: str
) -> NoteRow:
    """Add a person's words to a run; `InvalidValue` where nothing is seen."""
    text = plain_text.required(text, name="text")
    async with store.write() as session:
        row = await get(session, run)
        now = await store.now(session)
        note = NoteRow(
            run=run,
            person=person,
            person_name=person_name,
            kind=kind,
            text=text,
            created_at=now,
        )
        session.add(note)
        _note(session, row, f"note.{kind}", person, None, at=now)
    return note


async def _has_unread(session: AsyncSession, run: str) -> bool:
    query = select(CustomerMessageRow.id).where(
        col(CustomerMessageRow.run) == run, col(CustomerMessageRow.turn).is_(None)
    )
    return (await session.execute(query.limit(1))).first() is not None


async def _failed_later_or_free(
    session: AsyncSession, run: str, *, now: datetime
) -> EffectRow | None:
    """Return what failed later, if anything; give back leases that nobody will use."""
    query = (
        select(EffectRow)
        .where(
            col(EffectRow.run) == run,
            or_(
                col(EffectRow.reopened_at).is_not(None),
                col(EffectRow.status) == "leased",
            ),
        )
        .order_by(col(EffectRow.key))
        .with_for_update()
    )
    found = list((await session.execute(query)).scalars())
    for effect in found:
        await ledger.free(session, effect, why="the run was ended", now=now)
    return next((one for one in found if one.reopened_at is not None), None)


def _must_be_open(row: RunRow) -> None:
    if row.status in ENDED_RUNS:
        raise RunEnded(row.id, row.status)


async def _earlier(store: Store, new: NewRun) -> RunRow | None:
    origin = new.origin()
    if origin is None:
        return None
    async with store.read() as session:
        await sources.check(session, origin)
        query = select(RunRow).where(
            col(RunRow.origin) == origin.space, col(RunRow.external_key) == origin.key
        )
        row = (await session.execute(query)).scalar_one_or_none()
    if row is not None:
        _refuse_another(row, new)
    return row


def _refuse_another(row: RunRow, new: NewRun) -> None:
    """Raise `ExternalIdReused` where the first run is for something else."""
    other = [
        word
        for word, is_other in (
            ("tenant", row.tenant != new.tenant),
            ("workflow", row.workflow != new.workflow),
            ("input", row.input != canonical.text(dict(new.input))),
        )
        if is_other
    ]
    if other:
        which = f" {row.id}" if row.tenant == new.tenant else ""
        raise ExternalIdReused(
            f"The external id {new.external_id!r} of this source started the run{which} "
            f"with another {' and another '.join(other)}; nothing was started. Send what "
            "is new under an external id of its own, or as a message to that run."
        )


async def _fit(store: Store, new: NewRun) -> Fitted:
    """Check the input before the transaction: a large one takes seconds."""
    async with store.read() as session:
        name, release = await releases.live(session, new.workflow)
    if schema.is_small(new.input):
        return Fitted(release=name, text=_checked(release, new.input))
    text = await asyncio.to_thread(_checked, release, new.input)
    return Fitted(release=name, text=text)


async def insert(
    session: AsyncSession, store: Store, new: NewRun, fitted: Fitted
) -> RunRow:
    """Add a run to this transaction; raises like `start`.

    It shares the barrier: a switch or pause of many that is set finds the run, or is
    found. Whoever has locked rows before has shared it before those.
    """
    now = await store.share_barrier_now(session)
    name, release = await releases.live(session, new.workflow)
    await tenants.check(session, new.tenant)
    await _refuse_held(session, new, now=now)
    if fitted.release != name:
        # Another release went live in between; it is rare, and takes what it takes.
        _checked(release, new.input)
    customer = _field(new.input, release.customer)
    plain_text.check_id(customer, path=release.customer or "customer")
    origin = new.origin()
    if origin is not None:
        await sources.claim(session, store, origin)
    row = RunRow(
        id=new_id("run"),
        workflow=new.workflow,
        tenant=new.tenant,
        customer=customer,
        contact=_field(new.input, release.contact) or None,
        source=new.source,
        external_id=new.external_id,
        origin=origin.space if origin else None,
        external_key=origin.key if origin else None,
        status="queued",
        release=name,
        code_version=await releases.code_version(session, name),
        input=fitted.text,
        started_by=new.started_by,
        created_at=now,
    )
    session.add(row)
    await session.flush()
    outbox.add(session, "start", row.id, at=now)
    audit.record(
        session,
        audit.Entry(
            actor=new.started_by or "system",
            kind="run.started",
            tenant=row.tenant,
            run=row.id,
            payload={
                "workflow": row.workflow,
                "release": name,
                "input": canonical.digest_of(fitted.text),
            },
        ),
        at=now,
    )
    return row


async def _refuse_held(session: AsyncSession, new: NewRun, *, now: datetime) -> None:
    target = Target(tenant=new.tenant, workflow=new.workflow)
    found = holding(await switches.active(session, now=now), target)
    if found is not None and found.mode == "disable":
        raise NotStarted(
            f"Workflow {new.workflow!r} takes no new runs: switch {found.id} disables "
            f"{found.scope}: {found.reason}."
        )


def _checked(release: Release, value: Mapping[str, JsonValue]) -> str:
    """Return the input as it is kept, or raise `InvalidValue`."""
    text = canonical.text(dict(value))
    size = len(text.encode())
    if size > release.max_input_bytes:
        raise InvalidValue(
            f"the input has {size} bytes; {release.workflow} takes at most "
            f"{release.max_input_bytes}. Shorten it"
        )
    schema.check(dict(value), release.input_schema)
    plain_text.refuse_control_characters(dict(value))
    return text


def _field(value: Mapping[str, JsonValue], name: str | None) -> str:
    """Return a field as text; a number has one spelling: 1, 1.0 and 1e0 are one id."""
    found = value.get(name) if name else None
    if found is None or isinstance(found, str):
        return found or ""
    return canonical.text(found)


async def _output(
    session: AsyncSession, run: str, ending: Ending
) -> dict[str, Any] | None:
    if ending.step is None:
        return ending.output
    step = await session.get(StepRow, (run, ending.step))
    return step.output if step else None


async def cancel_approvals(session: AsyncSession, run: str, *, now: datetime) -> None:
    """Close what of a run waits or is not yet begun: it ends."""
    await _close_approvals(
        session, run, status="cancelled", because="the run was ended", now=now
    )


async def _void_approvals(session: AsyncSession, run: str, *, now: datetime) -> None:
    await _close_approvals(
        session, run, status="void", because="the customer wrote again", now=now
    )


async def _close_approvals(
    session: AsyncSession, run: str, *, status: str, because: str, now: datetime
) -> None:
    """Close what waits and what is approved but not yet begun."""
    query = (
        update(ApprovalRow)
        .where(
            col(ApprovalRow.run) == run,
            col(ApprovalRow.status).in_(OPEN_APPROVALS),
            col(ApprovalRow.consumed_by).is_(None),
        )
        .values(status=status, closed_because=because, closed_at=now)
        .returning(col(ApprovalRow.id))
    )
    closed = (await session.execute(query)).scalars()
    digests.changed(session, ApprovalRow, *((one,) for one in closed))


def _note(  # noqa: PLR0913 one audit row of a run, in one line at the callers
    session: AsyncSession,
    row: RunRow,
    kind: str,
    actor: str,
    reason: str | None,
    *,
    at: datetime,
) -> None:
    audit.record(
        session,
        audit.Entry(
            actor=actor,
            kind=kind,
            tenant=row.tenant,
            run=row.id,
            payload={"reason": reason} if reason else {},
        ),
        at=at,
    )


def open_calls(run: str) -> Any:  # noqa: ANN401 a select of calls
    """Return the query for a run's calls that have no answer yet."""
    return select(CallRow).where(col(CallRow.run) == run, col(CallRow.status) == "open")
