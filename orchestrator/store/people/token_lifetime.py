"""How long a token lives: one that decides ends within days, for any purpose."""

from collections.abc import Collection
from datetime import datetime, timedelta

from keyturn.orchestrator.store.tables import TokenRow

# A token's scope that stands for all that its owner may do.
EVERYTHING = "*"
# Scopes that let an effect happen, loosen a guard, say what became of money, confirm
# another person's request, or give authority and data to somebody.
DECIDING = frozenset(
    {
        EVERYTHING,
        "approvals.decide",
        "budgets.raise",
        "effects.compensate",
        "effects.record",
        "incidents.manage",
        "people.manage",
        "proposals.answer",
        "switches.set",
        "tenants.declare",
        "webhooks.manage",
    }
)
MOST_DAYS_DECIDING = 7
LONGEST_DECIDING = timedelta(days=MOST_DAYS_DECIDING)


def deciding(scopes: Collection[str], *, kind: str) -> list[str]:
    """Return which of the scopes decide; none of a service's scopes decides."""
    return sorted(DECIDING.intersection(scopes)) if kind == "person" else []


def ends_at(row: TokenRow, *, kind: str) -> datetime | None:
    """Return when a token ends, or None: its own end, or 7 days if it decides.

    `kind` is its owner's. Tokens made before there was a maximum lifetime have a later
    end in the record, or none.
    """
    if not deciding(row.scopes, kind=kind):
        return row.ends_at
    latest = row.created_at + LONGEST_DECIDING
    return latest if row.ends_at is None else min(row.ends_at, latest)


def is_live(row: TokenRow, *, kind: str, now: datetime) -> bool:
    """Tell whether a token was neither revoked nor has ended."""
    end = ends_at(row, kind=kind)
    return row.revoked_at is None and (end is None or end > now)
