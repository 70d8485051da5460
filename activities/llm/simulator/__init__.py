"""A local server that speaks the providers' wire formats and plays scripted scenarios.

It uses no model. A scenario is a function `(SimRequest) -> SimStep | None`; None
leaves the request to the next scenario. The next step follows from the request alone,
for example from the number of its tool results, so any process may answer any request.
"""

from keyturn.activities.llm.simulator.request import SimRequest, SimResult
from keyturn.activities.llm.simulator.scenarios import (
    Scenario,
    bench,
    default,
    first_times,
    script,
)
from keyturn.activities.llm.simulator.step import (
    SimStep,
    blocked,
    call,
    calls,
    cut,
    error,
    final,
    malformed,
    raw,
    refuse,
    say,
    slow,
    truncate,
)
from keyturn.activities.llm.simulator.thread import running_simulator

__all__ = [
    "Scenario",
    "SimRequest",
    "SimResult",
    "SimStep",
    "bench",
    "blocked",
    "call",
    "calls",
    "cut",
    "default",
    "error",
    "final",
    "first_times",
    "malformed",
    "raw",
    "refuse",
    "running_simulator",
    "say",
    "script",
    "slow",
    "truncate",
]
