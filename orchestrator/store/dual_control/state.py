"""The state of a proposal, which may change by the passing of time alone."""

from datetime import datetime
from typing import Literal

from keyturn.orchestrator.store.tables import ProposalRow

State = Literal["open", "confirmed", "declined", "withdrawn", "void", "expired"]


def state(row: ProposalRow, *, now: datetime) -> State:
    """Return the outcome of a proposal; an unanswered one expires."""
    if row.status == "open" and row.ends_at <= now:
        return "expired"
    return row.status  # pyright: ignore[reportReturnType] written by this module alone
