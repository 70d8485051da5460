"""Conditions for open rows, which the partial indexes of `tables` answer.

Values are written into the statement itself: a parameter proves nothing to a planner,
which would then scan all rows that ever existed.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    BindParameter,
    Boolean,
    ColumnElement,
    bindparam,
    literal,
    literal_column,
)
from sqlmodel import and_, col, or_

from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    AttemptRow,
    EffectRow,
    OutboxRow,
    RunRow,
)

OPEN_RUNS = ("queued", "running", "waiting", "stopped")


def runs() -> ColumnElement[bool]:
    """Match runs that have not ended."""
    return _one_of(RunRow.status, OPEN_RUNS)


def busy_runs() -> ColumnElement[bool]:
    """Match runs that work or should: nothing stops them, and no person is asked."""
    return _one_of(RunRow.status, ("queued", "running"))


def paused_runs() -> ColumnElement[bool]:
    """Match runs that somebody paused and that have not ended."""
    return and_(col(RunRow.paused_by).is_not(None), runs())


def handoffs() -> ColumnElement[bool]:
    """Match hand-offs that are not settled yet."""
    return and_(_is(RunRow.status, "handed_off"), col(RunRow.settled_at).is_(None))


def approvals() -> ColumnElement[bool]:
    """Match approvals that wait for people."""
    return _is(ApprovalRow.status, "pending")


def to_find_out() -> ColumnElement[bool]:
    """Match effects whose outcome a person has to find out."""
    return or_(
        _is(EffectRow.status, "unknown"), col(EffectRow.reopened_at).is_not(None)
    )


def under_way() -> ColumnElement[bool]:
    """Match effects that are leased or being sent."""
    return _one_of(EffectRow.status, ("leased", "sending"))


def sent_attempts() -> ColumnElement[bool]:
    """Match requests to models that have no answer yet."""
    return _is(AttemptRow.status, "sent")


def meters_of_runs() -> ColumnElement[bool]:
    """Match the budgets of single runs."""
    return literal_column("substr(meters.scope, 1, 4) = 'run '", Boolean)


def meters_of_days() -> ColumnElement[bool]:
    """Match the daily budgets of tenants and workflows."""
    return and_(
        literal_column("substr(meters.scope, 1, 4) <> 'run '", Boolean),
        literal_column("substr(meters.scope, 1, 6) <> 'limit '", Boolean),
    )


def deliveries() -> ColumnElement[bool]:
    """Match outbox rows that are still to be delivered."""
    return col(OutboxRow.done_at).is_(None)


def _is(column: Any, value: str) -> ColumnElement[bool]:  # noqa: ANN401 a column
    return col(column) == literal(value, literal_execute=True)


def _one_of(column: Any, values: Iterable[str]) -> ColumnElement[bool]:  # noqa: ANN401 a column
    named: BindParameter[str] = bindparam(
        None, list(values), expanding=True, literal_execute=True
    )
    return col(column).in_(named)
