"""The state of a proposal, which time alone may change."""

from datetime import datetime
from typing import Literal

from keyturn.orchestrator.store.tables import ProposalRow

State = Literal["open", "confirmed", "declined", "withdrawn", "void", "expired"]


def state(row: ProposalRow, *, now: datetime) -> State:
    """Return what became of a proposal; one that nobody answered ends by itself."""
    if row.status == "open" and row.ends_at <= now:
        return "expired"
    return row.status  # pyright: ignore[reportReturnType] written by this module alone
