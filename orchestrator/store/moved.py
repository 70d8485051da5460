"""Money moved, as the ledger knows it, and the limits on it."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import exists
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import and_, col, func, or_, select

from orchestrator.budget import Limit
from orchestrator.errors import LimitExceeded
from orchestrator.money import Money, format_minor
from orchestrator.policy import length
from orchestrator.release import Release
from orchestrator.status import OPEN_EFFECTS
from orchestrator.store import reach
from orchestrator.store.engine import Store
from orchestrator.store.reach import Reach
from orchestrator.store.tables import DecisionRow, EffectRow, MeterRow

DEFAULT_WINDOW = timedelta(days=1)


class Before(BaseModel):
    """What has moved before, in minor units of one currency.

    `is_mixed`: some moved in another currency, which cannot be added to it.
    """

    model_config = ConfigDict(frozen=True)

    amount: int = 0
    is_mixed: bool = False


async def before(  # noqa: PLR0913 what it counts for, and in what
    session: AsyncSession,
    touched: Reach,
    releases: Sequence[Release],
    *,
    money: Money | None,
    now: datetime,
    but: str = "",
) -> Before:
    """Return what has moved for the same subject and customer of the same service.

    Counts what is reserved, sent or done within the longest window of the releases'
    limits per customer and subject (one day where they have none); the effect named by
    `but` is left out.
    """
    if money is None:
        return Before()
    windows = [
        one.within
        for release in releases
        for one in release.limits
        if one.per in ("customer", "subject")
    ]
    since = now - max(windows, default=DEFAULT_WINDOW)
    same = [and_(*touched.same_customer())]
    if touched.subject is not None:
        same.append(and_(*touched.same_subject()))
    query = (
        select(EffectRow.currency, func.sum(col(EffectRow.amount)))
        .where(
            _counts(since),
            or_(*same),
            col(EffectRow.key) != but,
            col(EffectRow.currency).is_not(None),
        )
        .group_by(col(EffectRow.currency))
    )
    found = {code: int(sum_) for code, sum_ in (await session.execute(query)).all()}
    return Before(
        amount=found.get(money.currency, 0),
        is_mixed=bool(found.keys() - {money.currency}),
    )


async def lock_history(
    session: AsyncSession, store: Store, touched: Reach, *, has_money: bool
) -> None:
    """Lock what `before` and `is_repeated` read, until the commit.

    Always taken before any scope of `check_limits` that is not the run's own.
    """
    locks = touched.locks()
    scopes = [locks["subject"]] if touched.subject is not None else []
    if has_money:
        scopes.append(locks["customer"])
    if scopes:
        await _lock(session, sorted(scopes), store=store)


async def is_repeated(session: AsyncSession, touched: Reach) -> bool:
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
    session: AsyncSession, touched: Reach, since: datetime, *, but_run: str
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


async def check_limits(
    session: AsyncSession,
    store: Store,
    effect: EffectRow,
    limits: Iterable[Sequence[Limit]],
) -> None:
    """Raise `LimitExceeded` where `effect` does not fit; locks each scope first.

    Each of the sequences must leave room: those of one release and of another.
    """
    amount, currency = effect.amount, effect.currency
    if amount is None or currency is None:
        return
    pairs = [
        (name, limit, conditions)
        for declared in limits
        for limit in _of_currency(declared, amount, currency)
        for name, conditions in _scopes(effect, limit)
    ]
    if not pairs:
        return
    await _lock(session, sorted({name for name, _, _ in pairs}), store=store)
    now = await store.now(session)
    for _, limit, conditions in pairs:
        others = [*conditions, col(EffectRow.key) != effect.key]
        moved = await _sum(session, now - limit.within, currency, others)
        if moved + amount > limit.money.amount:
            own = [*others, col(EffectRow.tenant) == effect.tenant]
            known = await _sum(session, now - limit.within, currency, own)
            raise LimitExceeded(
                scope=_words(limit),
                needed=format_minor(amount, currency),
                left=_left(limit, moved) if known == moved else None,
            )


def _words(limit: Limit) -> str:
    """Return a limit as a model reads it: neither a person's id nor another's order."""
    whose = {
        "run": "this run",
        "subject": "what it acts on",
        "customer": "this customer",
        "approver": "one approver",
        "workflow": "this workflow",
        "tenant": "this tenant",
    }
    return f"{limit.money} for {whose[limit.per]} within {length(limit.within)}"


def _left(limit: Limit, moved: int) -> str | None:
    """Return what is left; None where that would tell of other tenants."""
    if limit.per in ("workflow", "approver"):
        return None
    return format_minor(max(0, limit.money.amount - moved), limit.money.currency)


def _of_currency(limits: Sequence[Limit], amount: int, currency: str) -> list[Limit]:
    found = [one for one in limits if one.money.currency == currency]
    if limits and not found:
        raise LimitExceeded(
            scope=f"currency {currency} (none declared)",
            needed=format_minor(amount, currency),
            left=format_minor(0, currency),
        )
    return found


def _scopes(effect: EffectRow, limit: Limit) -> list[tuple[str, list[Any]]]:
    touched = reach.of_effect(effect)
    match limit.per:
        case "run":
            return [(f"limit run {effect.run}", [col(EffectRow.run) == effect.run])]
        case "subject":
            return [(touched.locks()["subject"], touched.same_subject())]
        case "customer":
            return [(touched.locks()["customer"], touched.same_customer())]
        case "workflow":
            same = col(EffectRow.workflow) == effect.workflow
            return [(f"limit workflow {effect.workflow}", [same])]
        case "tenant":
            same = col(EffectRow.tenant) == effect.tenant
            return [(f"limit tenant {effect.tenant}", [same])]
        case "approver":
            return [
                (f"limit approver {person}", [_approved_by(person)])
                for person in effect.approvers
            ]


def _approved_by(person: str) -> Any:  # noqa: ANN401 an SQL condition
    """Match what carries this person's yes."""
    return exists().where(
        col(DecisionRow.approval) == col(EffectRow.approval),
        col(DecisionRow.person) == person,
        col(DecisionRow.decision) == "approve",
    )


async def _sum(
    session: AsyncSession, since: datetime, currency: str, conditions: Sequence[Any]
) -> int:
    query = select(func.coalesce(func.sum(col(EffectRow.amount)), 0)).where(
        _counts(since), col(EffectRow.currency) == currency, *conditions
    )
    return int((await session.execute(query)).scalar_one() or 0)


def _counts(since: datetime) -> Any:  # noqa: ANN401 an SQL condition
    """Match money that moved since, as of its recorded outcome, or that still may.

    What is not yet certain counts however old it is, and so does what is recorded as
    done late: when it really moved is not known.
    """
    return or_(
        col(EffectRow.status).in_(OPEN_EFFECTS),
        and_(col(EffectRow.status) == "done", col(EffectRow.ended_at) > since),
    )


async def _lock(session: AsyncSession, scopes: Sequence[str], *, store: Store) -> None:
    if store.is_sqlite:
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
