"""Reservations of the worst case, before a model is asked (P4)."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from pydantic import BaseModel, ConfigDict
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select

from keyturn.orchestrator.rules.errors import BudgetExceeded
from keyturn.orchestrator.rules.money.budget import in_words
from keyturn.orchestrator.store.budgets import limits
from keyturn.orchestrator.store.budgets.limits import Bounds
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import AttemptRow, MeterRow

# After this time a request's holder counts as dead and its reservation is charged in
# full.
ATTEMPT_LEASE = timedelta(minutes=10)


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


async def locked(session: Tx, scope: str) -> MeterRow:
    """Return a scope's row, locked; creates it if nothing was ever reserved there."""
    return (await _locked(session, [scope]))[scope]


async def reserve(
    store: Store, wanted: Reservation, scopes: Mapping[str, Bounds]
) -> None:
    """Reserve the worst case in every scope, or raise `BudgetExceeded`.

    If it raises, nothing is reserved. The attempt commits as sent: if its holder dies,
    it is charged at its maximum.
    """
    async with store.write() as session:
        meters = await _locked(session, sorted(scopes))
        for scope, bound in scopes.items():
            may = limits.as_raised(bound, meters[scope])
            _check_room(scope, may, meters[scope], wanted)
        now = await session.read_clock()
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


async def _locked(session: Tx, scopes: Sequence[str]) -> dict[str, MeterRow]:
    """Return the scopes' rows, locked in the order given; creates missing rows first.

    Locks nothing until the missing rows exist: a process that waits for another one's
    new row while it holds a lock could deadlock.
    """
    if session.is_sqlite:
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
        insert = sqlite.insert if session.is_sqlite else postgresql.insert
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


async def _rows(session: Tx, scopes: Sequence[str]) -> dict[str, MeterRow]:
    query = (
        select(MeterRow)
        .where(col(MeterRow.scope).in_(scopes))
        .order_by(col(MeterRow.scope))
        .with_for_update()
    )
    return {row.scope: row for row in (await session.execute(query)).scalars()}
