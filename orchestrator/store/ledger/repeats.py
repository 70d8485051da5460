"""Whether an action was done before, on the same subject."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.dialects import postgresql
from sqlmodel import col, select

from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.ledger.reach import Reach
from keyturn.orchestrator.store.tables import EffectRow, MeterRow


async def lock_history(session: Tx, touched: Reach, *, has_money: bool) -> None:
    """Lock what `before` and `is_repeated` read, until the commit.

    Always taken before any scope of `check_limits` that is not the run's own.
    """
    locks = touched.locks()
    scopes = [locks["subject"]] if touched.subject is not None else []
    if has_money:
        scopes.append(locks["customer"])
    if scopes:
        await lock(session, sorted(scopes))


async def is_repeated(session: Tx, touched: Reach) -> bool:
    """Tell whether an action on the subject is done already."""
    if touched.subject is None:
        return False
    query = (
        select(EffectRow.key)
        .where(*touched.same_subject(), col(EffectRow.status) == "done")
        .limit(1)
    )
    return (await session.execute(query)).first() is not None


async def was_done_since(
    session: Tx, touched: Reach, since: datetime, *, but_run: str
) -> bool:
    """Tell whether another run's action on the subject was done at `since` or later."""
    if touched.subject is None:
        return False
    query = (
        select(EffectRow.key)
        .where(
            *touched.same_subject(),
            col(EffectRow.status) == "done",
            col(EffectRow.run) != but_run,
            col(EffectRow.ended_at) >= since,
        )
        .limit(1)
    )
    return (await session.execute(query)).first() is not None


async def lock(session: Tx, scopes: Sequence[str]) -> None:
    """Lock the rows of the meters' table that stand for these limits.

    SQLite needs no such lock: it has one writer.
    """
    if session.is_sqlite:
        return
    rows = [
        {
            "scope": scope,
            "held_tokens": 0,
            "held_microusd": 0,
            "used_tokens": 0,
            "used_microusd": 0,
        }
        for scope in scopes
    ]
    await session.execute(
        postgresql.insert(MeterRow).values(rows).on_conflict_do_nothing()
    )
    query = (
        select(MeterRow.scope)
        .where(col(MeterRow.scope).in_(scopes))
        .order_by(col(MeterRow.scope))
        .with_for_update()
    )
    await session.execute(query)
