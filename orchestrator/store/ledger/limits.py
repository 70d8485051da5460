"""Money moved, according to the ledger, and the limits on it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import case, exists
from sqlmodel import and_, col, func, not_, or_, select

from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.errors import LimitExceeded
from keyturn.orchestrator.rules.money.budget import Limit
from keyturn.orchestrator.rules.money.money import Money, format_minor
from keyturn.orchestrator.rules.money.scope import of_limit
from keyturn.orchestrator.rules.policy.rules import Counted, Earlier, length
from keyturn.orchestrator.rules.status import OPEN_EFFECTS
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.ledger import reach, repeats
from keyturn.orchestrator.store.ledger.reach import Reach
from keyturn.orchestrator.store.tables import DecisionRow, EffectRow

DEFAULT_WINDOW = timedelta(days=1)
# Beyond this number, earlier effects are only mentioned.
LONGEST_TOLD = 5


class Before(BaseModel):
    """What has moved before, in minor units of one currency.

    `is_mixed`: some moved in another currency, which cannot be added to it.
    """

    model_config = ConfigDict(frozen=True)

    amount: int = 0
    is_mixed: bool = False

    def __bool__(self) -> bool:
        """Tell whether any money has moved."""
        return self.amount > 0 or self.is_mixed


@dataclass(frozen=True)
class Counting:
    """What counts before an action: everything it touches, except its own effect `but`.

    A done payment is left out for the action that takes it back.
    """

    touched: Reach
    releases: tuple[Release, ...]
    but: str
    takes_back: str | None = None

    def conditions(self, now: datetime) -> list[Any]:
        """Match effects reserved, sent or done within the longest window.

        The longest window of the releases' limits per customer and subject; one day
        without any.
        """
        windows = [
            one.within
            for release in self.releases
            for one in release.limits
            if one.per in ("customer", "subject")
        ]
        same = [and_(*self.touched.same_customer())]
        if self.touched.subject is not None:
            same.append(and_(*self.touched.same_subject()))
        return [
            _counts(now - max(windows, default=DEFAULT_WINDOW)),
            or_(*same),
            col(EffectRow.key) != self.but,
            col(EffectRow.currency).is_not(None),
        ]


async def before(session: Tx, counting: Counting, *, money: Money | None) -> Before:
    """Return what has moved for the same subject and customer of the same service."""
    if money is None:
        return Before()
    conditions = counting.conditions(session.now)
    if counting.takes_back is not None:
        conditions.append(not_(_is_original(counting.takes_back, money.currency)))
    found = await _by_currency(session, conditions)
    return Before(
        amount=found.get(money.currency, 0),
        is_mixed=bool(found.keys() - {money.currency}),
    )


async def counted_for_customer(
    session: Tx, counting: Counting, *, tenant: str
) -> Counted:
    """Return what counted before, as far as the customer's agent may know it.

    Another customer's money on the same subject and another tenant's are not revealed,
    only that some exists.
    """
    conditions = counting.conditions(session.now)
    own = [*counting.touched.same_customer(), col(EffectRow.tenant) == tenant]
    return await _counted(session, conditions, own)


async def _counted(
    session: Tx, conditions: Sequence[Any], own: Sequence[Any]
) -> Counted:
    """Return the latest counted effects of one's own, and whether there are more."""
    query = (
        select(EffectRow)
        .where(*conditions, *own)
        .order_by(col(EffectRow.created_at).desc(), col(EffectRow.key).desc())
        .limit(LONGEST_TOLD + 1)
    )
    rows = list((await session.execute(query)).scalars())
    others = select(EffectRow.key).where(*conditions, not_(and_(*own))).limit(1)
    return Counted(
        earlier=tuple(_earlier(row) for row in rows[:LONGEST_TOLD]),
        is_all=len(rows) <= LONGEST_TOLD
        and (await session.execute(others)).first() is None,
    )


def _earlier(row: EffectRow) -> Earlier:
    return Earlier(
        amount=row.amount or 0,
        currency=row.currency or "",
        at=row.ended_at or row.sending_at or row.created_at,
        is_certain=row.status == "done",
    )


async def _by_currency(session: Tx, conditions: Sequence[Any]) -> dict[str, int]:
    """Return what moved, by currency.

    A payment and what takes it back count once, as the greater of the two, if both are
    counted here, in one currency, and the payment is known to be done.
    """
    amount = func.sum(col(EffectRow.amount))
    query = select(EffectRow.currency, amount).where(*conditions)
    grouped = await session.execute(query.group_by(col(EffectRow.currency)))
    found = {str(code): int(sum_) for code, sum_ in grouped.all()}
    original = (
        select(EffectRow.key, EffectRow.amount, EffectRow.currency)
        .where(*conditions, *_may_be_taken_back())
        .subquery("original")
    )
    mine, its = col(EffectRow.amount), original.c.amount
    once = func.sum(case((mine < its, mine), else_=its))
    pairs = (
        select(EffectRow.currency, once)
        .join(
            original,
            and_(
                original.c.key == col(EffectRow.compensates),
                original.c.currency == col(EffectRow.currency),
            ),
        )
        .where(*conditions, col(EffectRow.compensates).is_not(None))
        .group_by(col(EffectRow.currency))
    )
    for code, twice in (await session.execute(pairs)).all():
        found[str(code)] -= int(twice)
    return found


def _may_be_taken_back() -> list[Any]:
    """Match effects known to be done that take nothing back themselves.

    Otherwise a chain of payments that take one another back would count as one.
    """
    return [
        col(EffectRow.status) == "done",
        col(EffectRow.reopened_at).is_(None),
        col(EffectRow.compensates).is_(None),
    ]


def _is_original(key: str, currency: str) -> Any:  # noqa: ANN401 an SQL condition
    return and_(
        col(EffectRow.key) == key,
        col(EffectRow.currency) == currency,
        *_may_be_taken_back(),
    )


async def check_limits(
    session: Tx, effect: EffectRow, limits: Iterable[Sequence[Limit]]
) -> None:
    """Raise `LimitExceeded` if `effect` does not fit; locks each scope first.

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
    await repeats.lock(session, sorted({name for name, _, _ in pairs}))
    now = await session.read_clock()
    for _, limit, conditions in pairs:
        others = [
            _counts(now - limit.within),
            col(EffectRow.currency) == currency,
            col(EffectRow.key) != effect.key,
            *conditions,
        ]
        moved = await _sum(session, others)
        if moved + await _counts_for(session, effect, others) > limit.money.amount:
            raise await _exceeded(session, effect, limit, others, moved=moved)


async def _counts_for(session: Tx, effect: EffectRow, others: Sequence[Any]) -> int:
    """Return what an effect adds; if it takes back what counts, only the rest."""
    amount = effect.amount or 0
    if effect.compensates is None or effect.currency is None:
        return amount
    original = _is_original(effect.compensates, effect.currency)
    found = await session.execute(select(EffectRow.amount).where(*others, original))
    return max(0, amount - int(found.scalar() or 0))


async def _exceeded(
    session: Tx,
    effect: EffectRow,
    limit: Limit,
    others: Sequence[Any],
    *,
    moved: int,
) -> LimitExceeded:
    """Return the refusal, with what its customer may know of what counted before."""
    same_tenant = [col(EffectRow.tenant) == effect.tenant]
    own = [*same_tenant, col(EffectRow.customer_key) == effect.customer_key]
    is_known = await _sum(session, [*others, *same_tenant]) == moved
    counted = await _counted(session, others, own) if moved else Counted()
    return LimitExceeded(
        scope=_words(limit),
        needed=format_minor(effect.amount or 0, effect.currency or ""),
        left=_left(limit, moved) if is_known else None,
        counted=str(counted),
    )


def _words(limit: Limit) -> str:
    """Return a limit as a model reads it, without a person's id or another's order."""
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
    """Return what is left; None if that would reveal other tenants' money."""
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
            return [(of_limit("run", effect.run), [col(EffectRow.run) == effect.run])]
        case "subject":
            return [(touched.locks()["subject"], touched.same_subject())]
        case "customer":
            return [(touched.locks()["customer"], touched.same_customer())]
        case "workflow":
            same = col(EffectRow.workflow) == effect.workflow
            return [(of_limit("workflow", effect.workflow), [same])]
        case "tenant":
            same = col(EffectRow.tenant) == effect.tenant
            return [(of_limit("tenant", effect.tenant), [same])]
        case "approver":
            return [
                (of_limit("approver", person), [_approved_by(person)])
                for person in effect.approvers
            ]


def _approved_by(person: str) -> Any:  # noqa: ANN401 an SQL condition
    """Match effects with this person's yes."""
    return exists().where(
        col(DecisionRow.approval) == col(EffectRow.approval),
        col(DecisionRow.person) == person,
        col(DecisionRow.decision) == "approve",
    )


async def _sum(session: Tx, conditions: Sequence[Any]) -> int:
    """Return what moved in the one currency of the conditions."""
    return sum((await _by_currency(session, conditions)).values())


def _counts(since: datetime) -> Any:  # noqa: ANN401 an SQL condition
    """Match money that moved since, by its recorded outcome, or that still may move.

    An uncertain effect counts however old it is, and so does one recorded as done late:
    the time at which it really moved is not known.
    """
    return or_(
        col(EffectRow.status).in_(OPEN_EFFECTS),
        and_(col(EffectRow.status) == "done", col(EffectRow.ended_at) > since),
    )
