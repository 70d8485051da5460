"""Settlement of attempts after a model answered, failed or was lost (P4)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue
from sqlmodel import and_, col, or_, select, update

from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.budgets.reservations import Reservation
from keyturn.orchestrator.store.db import counters, locks, open_rows
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.tables import AttemptRow, MeterRow, RunRow

# A request whose sender ended before its answer was stored.
LOST = "lost"
# After this many lost requests a turn asks no more.
LOST_TRIES = 3
LOST_WORDS = (
    "its worker ended before the answer was stored: it may be paid for, and is charged "
    "at the maximum"
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
    """Earlier attempts of a turn: the usable replies, in their order, and the rest.

    `lost` are requests that have no answer, by number: their sender has ended.
    """

    model_config = ConfigDict(frozen=True)

    replies: tuple[Stored, ...]
    lost: tuple[tuple[str, int], ...]


async def earlier(store: Store, *, run: str, turn: int) -> Earlier:
    """Return the earlier attempts of a turn."""
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
    """Charge requests whose sender was lost, unless they have been charged already.

    The process that asks for a turn is the only one that works on it. A late answer
    from a sender that is still alive settles the request all the same.
    """
    for attempt in attempts:
        await _charge_lost(store, attempt)


async def _charge_lost(store: Store, attempt: str) -> bool:
    async with store.write() as session:
        await locks.run_of_attempt(session, attempt)
        row = await session.get(AttemptRow, attempt)
        if row is None:
            return False
        outcome = _charge(row, now=await session.read_clock())
        is_lost = await _close(session, attempt, outcome)
        if is_lost:
            await session.refresh(row)
            await _count_failure(session, row, await run_lookup.get(session, row.run))
        return is_lost


async def note(store: Store, attempt: str, words: str) -> None:
    """Add what was wrong with a reply to its attempt."""
    async with store.write() as session:
        await session.execute(
            update(AttemptRow).where(col(AttemptRow.id) == attempt).values(error=words)
        )


async def fail(store: Store, attempt: str, used: Used | None, failure: Failure) -> None:
    """Settle a failed attempt: its usage, the reason, and a count of its kind."""
    async with store.write(first=True) as session:
        await locks.run_of_attempt(session, attempt)
        await session.read_clock()
        await settle_in(session, attempt, used)
        row = await session.get(AttemptRow, attempt, populate_existing=True)
        if row is None or row.failure is not None:
            return
        run = await run_lookup.get(session, row.run)
        row.failure = failure.kind
        row.error = failure.words
        await _count_failure(session, row, run)


async def pass_over(store: Store, wanted: Reservation, failure: Failure) -> None:
    """Record a target that could not be asked at all; reserves nothing for it."""
    async with store.write() as session:
        now = await session.read_clock()
        run = await run_lookup.get(session, wanted.run)
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
        await _count_failure(session, row, run)


async def _count_failure(session: Tx, row: AttemptRow, run: RunRow) -> None:
    log.record(
        session,
        log.Entry(
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
        at=await session.read_clock(),
    )
    await counters.add(
        session,
        counters.ATTEMPTS_FAILED,
        subject=f"{row.provider}/{row.model}",
        kind=row.failure or "",
    )


async def settle(store: Store, attempt: str, used: Used | None) -> None:
    """Replace an attempt's reservation by its usage; a second call changes nothing."""
    async with store.write(first=True) as session:
        await locks.run_of_attempt(session, attempt)
        await session.read_clock()
        await settle_in(session, attempt, used)


async def settle_in(
    session: Tx, attempt: str, used: Used | None, *, run: RunRow | None = None
) -> None:
    """Do `settle` within a transaction that has locked the attempt's run.

    It has read the clock since. If the caller has that run as `run`, its figures are added there.
    """
    if used is None:
        freed = {"status": "freed", "settled_at": session.now}
        await _close(session, attempt, freed)
        return
    outcome = used.model_dump() | {
        "status": "settled",
        "settled_at": session.now,
        "tokens": used.input_tokens + used.output_tokens,
        "error": used.error,
        # An attempt that counted as lost and was answered after all.
        "failure": None,
    }
    if not await _close(session, attempt, outcome, of=run):
        # Its holder counted as dead and was charged at the maximum; now the usage is
        # known.
        await _close(session, attempt, outcome, was="charged", of=run)


async def charge_dead(store: Store) -> int:
    """Charge attempts whose holder died at their maximum; return how many."""
    async with store.read() as session:
        now = await session.read_clock()
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


async def _close(
    session: Tx,
    attempt: str,
    outcome: dict[str, Any],
    *,
    was: str = "sent",
    of: RunRow | None = None,
) -> bool:
    """Close an attempt in the state `was`, and move its figures; else do nothing.

    It takes back what the attempt reserved or, if it was charged, the charge.
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
