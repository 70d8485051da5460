"""Holds: what keeps a run, or one call of it, from continuing.

The record stores a hold as text: `pause by ID`, `switch ID`, `budget SCOPE`. `Hold` is
the only codec for it, and `held` the only rule.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, Protocol

from keyturn.orchestrator.rules.authority.switch import Switch, Target, covering
from keyturn.orchestrator.rules.status import ENDED_RUNS

Kind = Literal["pause", "switch", "budget"]

_PREFIXES: Final[dict[Kind, str]] = {
    "pause": "pause by ",
    "switch": "switch ",
    "budget": "budget ",
}


@dataclass(frozen=True)
class Hold:
    """One hold: `name` is the person who paused, the switch's id, or the scope.

    `since` is when the hold began, where that is known.
    """

    kind: Kind
    name: str
    since: datetime | None = field(default=None, compare=False)

    def __str__(self) -> str:
        """Return the hold as the record stores it."""
        return f"{_PREFIXES[self.kind]}{self.name}"


class RunState(Protocol):
    """The fields of a run that decide about holds."""

    @property
    def tenant(self) -> str:
        """Return the run's tenant."""
        ...

    @property
    def workflow(self) -> str:
        """Return the run's workflow."""
        ...

    @property
    def status(self) -> str:
        """Return the run's status."""
        ...

    @property
    def cancel_reason(self) -> str | None:
        """Return why the run was cancelled; None if it was not."""
        ...

    @property
    def paused_by(self) -> str | None:
        """Return who paused the run; None if nobody did."""
        ...

    @property
    def stopped_at(self) -> datetime | None:
        """Return since when the run as a whole is stopped."""
        ...


def parse(text: str | None) -> Hold | None:
    """Return the hold that the record stores as text; None for None."""
    for kind, prefix in _PREFIXES.items():
        if text is not None and text.startswith(prefix):
            return Hold(kind, text.removeprefix(prefix))
    return None


def prefix(kind: Kind) -> str:
    """Return the text that each hold of this kind begins with, for queries."""
    return _PREFIXES[kind]


def by_pause(person: str, *, since: datetime | None = None) -> Hold:
    """Return the hold of a run that a person paused."""
    return Hold("pause", person, since)


def by_switch(switch: str, *, since: datetime | None = None) -> Hold:
    """Return the hold of a target that a switch covers."""
    return Hold("switch", switch, since)


def by_budget(scope: str) -> Hold:
    """Return the hold of a run whose budget of this scope has no room left."""
    return Hold("budget", scope)


def held(
    run: RunState, switches: Iterable[Switch], target: Target | None = None
) -> Hold | None:
    """Return the pause or halt that holds `target` of a run; by default the run itself.

    Nothing holds a run that was cancelled or has ended: it continues to its end.
    """
    if is_over(run):
        return None
    if run.paused_by is not None:
        return by_pause(run.paused_by, since=run.stopped_at)
    halts = (
        one for one in covering(switches, target or of_run(run)) if one.mode == "halt"
    )
    first = next(halts, None)
    return by_switch(first.id, since=first.created_at) if first is not None else None


def disabling(switches: Iterable[Switch], target: Target) -> Switch | None:
    """Return the switch that keeps `target` from beginning; None where a halt holds it.

    A disable lets nothing new begin; what has begun continues.
    """
    found = covering(switches, target)
    if any(one.mode == "halt" for one in found):
        return None
    return next((one for one in found if one.mode == "disable"), None)


def is_over(run: RunState) -> bool:
    """Return whether a run was cancelled or has ended."""
    return run.cancel_reason is not None or run.status in ENDED_RUNS


def of_run(run: RunState) -> Target:
    """Return the target for a run as a whole."""
    return Target(tenant=run.tenant, workflow=run.workflow)
