"""The switches that hold now."""

from collections.abc import Iterable
from datetime import datetime

from sqlmodel import col, select

from keyturn.orchestrator.rules.authority.switch import Scope, Switch, Target
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import SwitchRow

# Queried several times in every turn; building it takes longer than running it.
_NOT_CLEARED = (
    select(SwitchRow)
    .where(col(SwitchRow.cleared_at).is_(None))
    .order_by(col(SwitchRow.created_at))
)


async def active(session: Tx) -> list[Switch]:
    """Return the switches that are set and have not ended, oldest first."""
    rows = (await session.execute(_NOT_CLEARED)).scalars()
    return [switch_of(row) for row in rows if is_set(row, session.now)]


async def set_now(session: Tx, switch_id: str) -> SwitchRow:
    """Return a switch that holds, or raise `NotFound`."""
    row = await session.get(SwitchRow, switch_id)
    if row is None or not is_set(row, session.now):
        raise NotFound(kind="switch", name=switch_id)
    return row


def is_set(row: SwitchRow, now: datetime) -> bool:
    """Return whether a switch is neither lifted nor expired."""
    return row.cleared_at is None and (row.until is None or row.until > now)


def switch_of(row: SwitchRow) -> Switch:
    """Return a row as a `Switch`."""
    return Switch(
        id=row.id,
        scope=Scope(**row.scope),
        mode=row.mode,  # pyright: ignore[reportArgumentType] pydantic checks the literal
        value=row.value,
        reason=row.reason,
        author=row.author,
        created_at=row.created_at,
        until=row.until,
    )


def tool_targets(
    *, tenant: str, workflow: str, tool: str, corpora: Iterable[str]
) -> Target:
    """Return the target of one tool's call."""
    return Target(
        tenant=tenant, workflow=workflow, tool=tool, corpora=frozenset(corpora)
    )
