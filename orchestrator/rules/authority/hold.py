"""Holds: what keeps a run, or one call of it, from going on.

Written as text into the record: `pause by ID`, `switch ID`, `budget SCOPE`.
"""

from typing import Literal

Kind = Literal["pause", "switch", "budget"]

PAUSE = "pause by "
SWITCH = "switch "
BUDGET = "budget "


def by_pause(person: str) -> str:
    """Return the hold of a run that a person paused."""
    return f"{PAUSE}{person}"


def by_switch(switch: str) -> str:
    """Return the hold of what a switch covers."""
    return f"{SWITCH}{switch}"


def by_budget(scope: str) -> str:
    """Return the hold of a run whose budget of this scope has no room left."""
    return f"{BUDGET}{scope}"
