"""Budgets in the record: reserved at the worst case before, settled after (P4)."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import and_, col, or_, select, update

from orchestrator.rules.errors import BudgetExceeded
from orchestrator.rules.money.budget import Budget, Needs, in_words, microusd
from orchestrator.store import audit, counters, open_rows, runs
from orchestrator.store.engine import Store
from orchestrator.store.tables import AttemptRow, MeterRow, RunRow

# After this a request's holder is taken for dead and its reservation is charged whole.
ATTEMPT_LEASE = timedelta(minutes=10)
# A request whose sender ended before its answer was stored.
LOST = "lost"
# A turn asks no more after so many of them.
LOST_TRIES = 3
LOST_WORDS = (
    "its worker ended before the answer was stored: it may be paid for, and is charged "
    "at the maximum"
)


class Reservation(BaseModel):
    """What one model attempt may cost at most, and in which scopes."""

    model_config = ConfigDict(frozen=True)

    attempt: str
    run: str
    turn: int
    number: int
    provider: str
    model: str
    tokens: int
    cost_microusd: int
    saw: tuple[int, ...] = ()


class Bounds(BaseModel):
    """What a scope may use: None where it has no bound of that unit."""

    model_config = ConfigDict(frozen=True)

    tokens: int | None = None
    cost_microusd: int | None = None
    turns: int | None = None


def bounds(
    budget: Budget, *, run: str, workflow: str, tenant: str, now: datetime
) -> dict[str, Bounds]:
    """Return the scopes of a run's budget, with the day in UTC."""
    day = now.date().isoformat()
    scopes = {
        f"run {run}": Bounds(
            tokens=budget.tokens,
            cost_microusd=microusd(budget.cost_usd),
            turns=budget.turns,
        )
    }
    if budget.workflow_day_usd is not None:
        scopes[f"workflow {workflow} on {day}"] = Bounds(
            cost_microusd=microusd(budget.workflow_day_usd)
        )
    if budget.tenant_day_usd is not None:
        scopes[f"tenant {tenant} on {day}"] = Bounds(
            cost_microusd=microusd(budget.tenant_day_usd)
        )
    return scopes


def as_raised(bound: Bounds, meter: MeterRow) -> Bounds:
    """Return what a scope may use: its contract's bound, or what it was raised to."""
    return Bounds(
        tokens=_more(bound.tokens, meter.raised_tokens),
        cost_microusd=_more(bound.cost_microusd, meter.raised_microusd),
        turns=_more(bound.turns, meter.raised_turns),
    )


def _more(bound: int | None, raised: int | None) -> int | None:
    # No bound of a unit is more than any.
    return None if bound is None else max(bound, raised or 0)


def has_room(bound: Bounds, meter: MeterRow, needs: Needs) -> bool:
    """Tell whether what a run's next turn needs fits what is left of a scope."""
    may = as_raised(bound, meter)
    return all(
        limit is None or taken <= limit
        for limit, taken in (
            (may.tokens, meter.held_tokens + meter.used_tokens + needs.tokens),
            (
                may.cost_microusd,
                meter.held_microusd + meter.used_microusd + needs.microusd,
            ),
            (may.turns, needs.turns),
        )
    )


async def locked(store: Store, session: AsyncSession, scope: str) -> MeterRow:
    """Return a scope's row, locked; made where nothing was ever reserved in it."""
    return (await _locked(session, [scope], is_sqlite=store.is_sqlite))[scope]


async def raised_turns(store: Store, run: str) -> int | None:
    """Return how many turns two people raised a run's budget to, or None."""
    async with store.read() as session:
        row = await session.get(MeterRow, f"run {run}")
        return row.raised_turns if row is not None else None


async def reserve(
    store: Store, wanted: Reservation, scopes: Mapping[str, Bounds]
) -> None:
    """Hold the worst case in every scope, or raise `BudgetExceeded` and hold nothing.

    The attempt commits as sent: if its holder dies, it is charged at its maximum.
    """
    async with store.write() as session:
        meters = await _locked(session, sorted(scopes), is_sqlite=store.is_sqlite)
        for scope, bound in scopes.items():
            may = as_raised(bound, meters[scope])
            _check_room(scope, may, meters[scope], wanted)
        now = await store.now(session)
        for meter in meters.values():
            meter.held_tokens += wanted.tokens
            meter.held_microusd += wanted.cost_microusd
        session.add(
            AttemptRow(
                id=wanted.attempt,
                run=wanted.run,
                turn=wanted.turn,
                number=wanted.number,
                provider=wanted.provider,
                model=wanted.model,
                status="sent",
                scopes=sorted(scopes),
                saw=list(wanted.saw),
                held_tokens=wanted.tokens,
                held_microusd=wanted.cost_microusd,
                lease_until=now + ATTEMPT_LEASE,
                created_at=now,
            )
        )


class Used(BaseModel):
    """What an attempt used; None for one that certainly reached nobody."""

    model_config = ConfigDict(frozen=True)

    input_tokens: int
    output_tokens: int
    cost_microusd: int
    error: str | None = None
    reply: dict[str, JsonValue] | None = None


class Failure(BaseModel):
    """Why an attempt brought no reply: a kind to count by, and the provider's words."""

    model_config = ConfigDict(frozen=True)

    kind: str
    words: str


class Stored(BaseModel):
    """A reply that was paid for, as it was kept, with what it cost."""

    model_config = ConfigDict(frozen=True)

    attempt: str
    number: int
    provider: str
    used: Used
    reply: dict[str, JsonValue]
    saw: tuple[int, ...]
    duration_ms: int


class Earlier(BaseModel):
    """What was asked for a turn before: the usable replies, in their order, and the rest.

    `lost` are requests that have no answer, by number: whoever sent them has ended.
    """

    model_config = ConfigDict(frozen=True)

    replies: tuple[Stored, ...]
    lost: tuple[tuple[str, int], ...]


async def earlier(store: Store, *, run: str, turn: int) -> Earlier:
    """Return what was asked for a turn before."""
    is_usable = and_(
        col(AttemptRow.status) == "settled", col(AttemptRow.failure).is_(None)
    )
    is_lost = or_(open_rows.sent_attempts(), col(AttemptRow.failure) == LOST)
    query = (
        select(AttemptRow)
        .where(col(AttemptRow.run) == run, col(AttemptRow.turn) == turn)
        .where(or_(is_usable, is_lost))
        .order_by(col(AttemptRow.settled_at), col(AttemptRow.id))
    )
    async with store.read() as session:
        rows = list((await session.execute(query)).scalars())
    settled = [row for row in rows if row.status == "settled"]
    return Earlier(
        replies=tuple(_stored(row) for row in settled if row.reply is not None),
        lost=tuple((row.id, row.number) for row in rows if row.status != "settled"),
    )


def _stored(row: AttemptRow) -> Stored:
    took = row.settled_at - row.created_at if row.settled_at else timedelta()
    return Stored(
        attempt=row.id,
        number=row.number,
        provider=row.provider,
        used=Used(
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            cost_microusd=row.cost_microusd,
            reply=row.reply,
        ),
        reply=row.reply or {},
        saw=tuple(row.saw),
        duration_ms=int(took.total_seconds() * 1000),
    )


async def charge_lost(store: Store, attempts: Sequence[str]) -> None:
    """Charge requests that were lost with who had sent them, where nobody has.

    Whoever asks for a turn is the only one that works for it. A late answer of one that
    still lives settles it all the same.
    """
    for attempt in attempts:
        await _charge_lost(store, attempt)


async def _charge_lost(store: Store, attempt: str) -> bool:
    async with store.write() as session:
        await _lock_run(session, attempt)
        row = await session.get(AttemptRow, attempt)
        if row is None:
            return False
        outcome = _charge(row, now=await store.now(session))
        is_lost = await _close(session, attempt, outcome)
        if is_lost:
            await session.refresh(row)
            await _count_failure(session, store, row, await runs.get(session, row.run))
        return is_lost


async def note(store: Store, attempt: str, words: str) -> None:
    """Add what was wrong with a reply to its attempt."""
    async with store.write() as session:
        await session.execute(
            update(AttemptRow).where(col(AttemptRow.id) == attempt).values(error=words)
        )


async def fail(store: Store, attempt: str, used: Used | None, failure: Failure) -> None:
    """Settle an attempt that failed: what it used, why, and a count of its kind."""
    async with store.write(first=True) as session:
        await _lock_run(session, attempt)
        await settle_in(session, store, attempt, used)
        row = await session.get(AttemptRow, attempt, populate_existing=True)
        if row is None or row.failure is not None:
            return
        run = await runs.get(session, row.run)
        row.failure = failure.kind
        row.error = failure.words
        await _count_failure(session, store, row, run)


async def pass_over(store: Store, wanted: Reservation, failure: Failure) -> None:
    """Record a target that could not be asked at all; nothing is held for it."""
    async with store.write() as session:
        now = await store.now(session)
        run = await runs.get(session, wanted.run)
        row = AttemptRow(
            id=wanted.attempt,
            run=wanted.run,
            turn=wanted.turn,
            number=wanted.number,
            provider=wanted.provider,
            model=wanted.model,
            status="freed",
            scopes=[],
            held_tokens=0,
            held_microusd=0,
            lease_until=now,
            created_at=now,
            settled_at=now,
            failure=failure.kind,
            error=failure.words,
        )
        session.add(row)
        await _count_failure(session, store, row, run)


async def _count_failure(
    session: AsyncSession, store: Store, row: AttemptRow, run: RunRow
) -> None:
    audit.record(
        session,
        audit.Entry(
            actor=f"run:{row.run}",
            kind="attempt.failed",
            tenant=run.tenant,
            run=row.run,
            subject=row.id,
            payload={
                "provider": row.provider,
                "model": row.model,
                "failure": row.failure,
                "cost_microusd": row.cost_microusd,
            },
        ),
        at=await store.now(session),
    )
    await counters.add(
        session,
        store,
        counters.ATTEMPTS_FAILED,
        subject=f"{row.provider}/{row.model}",
        kind=row.failure or "",
    )


async def settle(store: Store, attempt: str, used: Used | None) -> None:
    """Replace what an attempt holds by what it used; a second call changes nothing."""
    async with store.write(first=True) as session:
        await _lock_run(session, attempt)
        await settle_in(session, store, attempt, used)


async def settle_in(
    session: AsyncSession,
    store: Store,
    attempt: str,
    used: Used | None,
    *,
    run: RunRow | None = None,
) -> None:
    """Do `settle` within a transaction that has locked the attempt's run.

    Where that run is at hand as `run`, its figures are added there.
    """
    now = await store.now(session)
    if used is None:
        await _close(session, attempt, {"status": "freed", "settled_at": now})
        return
    outcome = used.model_dump() | {
        "status": "settled",
        "settled_at": now,
        "tokens": used.input_tokens + used.output_tokens,
        "error": used.error,
        # One that was taken for lost, and answered after all.
        "failure": None,
    }
    if not await _close(session, attempt, outcome, of=run):
        # Its holder was taken for dead and charged at the maximum; now it is known.
        await _close(session, attempt, outcome, was="charged", of=run)


async def charge_dead(store: Store) -> int:
    """Charge attempts whose holder died at their maximum; return how many."""
    async with store.read() as session:
        now = await store.now(session)
        query = select(AttemptRow).where(
            open_rows.sent_attempts(), col(AttemptRow.lease_until) < now
        )
        dead = list((await session.execute(query)).scalars())
    for row in dead:
        await _charge_lost(store, row.id)
    return len(dead)


def _charge(row: AttemptRow, *, now: datetime) -> dict[str, Any]:
    return {
        "status": "charged",
        "settled_at": now,
        "tokens": row.held_tokens,
        "cost_microusd": row.held_microusd,
        "failure": LOST,
        "error": LOST_WORDS,
    }


async def _lock_run(session: AsyncSession, attempt: str) -> None:
    """Lock the run first: the order of locks is the same everywhere."""
    owner = select(AttemptRow.run).where(col(AttemptRow.id) == attempt)
    query = select(RunRow.id).where(col(RunRow.id) == owner.scalar_subquery())
    await session.execute(query.with_for_update(key_share=True))


async def _close(
    session: AsyncSession,
    attempt: str,
    outcome: dict[str, Any],
    *,
    was: str = "sent",
    of: RunRow | None = None,
) -> bool:
    """Close an attempt that is in the state `was`, and move its figures; else do nothing.

    What it takes back is what it held or, where it was charged, what it was charged.
    """
    close = (
        update(AttemptRow)
        .where(col(AttemptRow.id) == attempt, col(AttemptRow.status) == was)
        .values(**outcome)
        .returning(
            col(AttemptRow.run),
            col(AttemptRow.scopes),
            col(AttemptRow.held_tokens),
            col(AttemptRow.held_microusd),
            col(AttemptRow.tokens),
            col(AttemptRow.cost_microusd),
        )
        .execution_options(synchronize_session=False)
    )
    row = (await session.execute(close)).one_or_none()
    if row is None:
        return False
    run, scopes, held_tokens, held_microusd, tokens, cost = row
    if was == "charged":
        tokens, cost = tokens - held_tokens, cost - held_microusd
        held_tokens = held_microusd = 0
    for scope in sorted(scopes):
        await session.execute(
            update(MeterRow)
            .where(col(MeterRow.scope) == scope)
            .values(
                held_tokens=col(MeterRow.held_tokens) - held_tokens,
                held_microusd=col(MeterRow.held_microusd) - held_microusd,
                used_tokens=col(MeterRow.used_tokens) + tokens,
                used_microusd=col(MeterRow.used_microusd) + cost,
            )
            .execution_options(synchronize_session=False)
        )
    if of is not None and of.id == run:
        of.tokens += tokens
        of.cost_microusd += cost
        return True
    await session.execute(
        update(RunRow)
        .where(col(RunRow.id) == run)
        .values(
            tokens=col(RunRow.tokens) + tokens,
            cost_microusd=col(RunRow.cost_microusd) + cost,
        )
        .execution_options(synchronize_session=False)
    )
    return True


def _check_room(scope: str, bound: Bounds, meter: MeterRow, want: Reservation) -> None:
    for unit, limit, taken, needed in (
        ("tokens", bound.tokens, meter.held_tokens + meter.used_tokens, want.tokens),
        (
            "cost_microusd",
            bound.cost_microusd,
            meter.held_microusd + meter.used_microusd,
            want.cost_microusd,
        ),
    ):
        if limit is not None and taken + needed > limit:
            raise BudgetExceeded(
                scope=scope,
                needed=in_words(unit, needed),
                left=in_words(unit, max(0, limit - taken)),
            )


async def _locked(
    session: AsyncSession, scopes: Sequence[str], *, is_sqlite: bool
) -> dict[str, MeterRow]:
    """Return the scopes' rows, locked in the order given; new ones are made first.

    Nothing is locked before what is missing is there: who waits for another's new row
    with a lock in hand would wait for ever.
    """
    if is_sqlite:
        # One writer at a time: there is nobody to wait for.
        found = await _rows(session, scopes)
        have = set(found)
        if len(found) == len(scopes):
            return found
    else:
        known = select(MeterRow.scope).where(col(MeterRow.scope).in_(scopes))
        have = set((await session.execute(known)).scalars())
    missing = [scope for scope in scopes if scope not in have]
    if missing:
        insert = sqlite.insert if is_sqlite else postgresql.insert
        rows = [
            {
                "scope": scope,
                "held_tokens": 0,
                "held_microusd": 0,
                "used_tokens": 0,
                "used_microusd": 0,
            }
            for scope in missing
        ]
        await session.execute(insert(MeterRow).values(rows).on_conflict_do_nothing())
    return await _rows(session, scopes)


async def _rows(session: AsyncSession, scopes: Sequence[str]) -> dict[str, MeterRow]:
    query = (
        select(MeterRow)
        .where(col(MeterRow.scope).in_(scopes))
        .order_by(col(MeterRow.scope))
        .with_for_update()
    )
    return {row.scope: row for row in (await session.execute(query)).scalars()}
