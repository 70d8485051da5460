"""Scenarios that come with the simulator, and faults to put in front of others."""

import re
from collections import Counter
from collections.abc import Callable

from keyturn.activities.llm.simulator.minimal import SCRIPTED, minimal
from keyturn.activities.llm.simulator.request import SimRequest
from keyturn.activities.llm.simulator.step import Answer, SimStep, call, final, say
from keyturn.activities.llm.wire.past_calls import arguments_object

Scenario = Callable[[SimRequest], SimStep | None]

FAULT_HEADER = "x-simulator-key"
_BENCH = re.compile(r"\bbench:(\d+)(?::(\w+))?")


def default(request: SimRequest) -> Answer:
    """Answer any request: a minimal valid object for a schema, else a text.

    Its strings read "scripted reply", so that nobody mistakes it for a model's work.
    """
    if request.output_schema is not None:
        return final(minimal(request.output_schema))
    return say(
        f"This is a {SCRIPTED}: no scenario of the simulator knows this request."
    )


def bench(request: SimRequest) -> Answer | None:
    """Request one tool call a turn until N of them, then finish.

    Plays where the model's name, the system text or the user's messages contain
    `bench:N` or `bench:N:tool` (else the first tool offered). The only state is the
    latest call's argument `n`, counted from 1: it survives a windowed transcript.
    """
    found = _marker(request)
    if found is None:
        return None
    last = int(found[1])
    latest = request.last_call
    asked = arguments_object(latest.arguments) if latest else {}
    count = asked.get("n", 0)
    n = count + 1 if isinstance(count, int) else 1
    if n > last:
        return default(request)
    return call(found[2] or next(iter(request.tools), "tool"), {"n": n})


def first_times(
    times: int,
    fault: SimStep,
    then: Scenario,
    *,
    key: Callable[[SimRequest], str] | None = None,
) -> Scenario:
    """Return `then`, with `fault` in place of its first `times` answers of each key.

    The only stateful part of the simulator: a counter in this process, by
    `key(request)`, or by the header `x-simulator-key`, or else one for all requests.
    It restarts with the process. Only requests that `then` plays are counted.
    """
    seen: Counter[str] = Counter()

    def scenario(request: SimRequest) -> SimStep | None:
        step = then(request)
        if step is None:
            return None
        name = key(request) if key else request.headers.get(FAULT_HEADER, "")
        seen[name] += 1
        return fault if seen[name] <= times else step

    return scenario


def script(
    *steps: SimStep, when: Callable[[SimRequest], bool] = lambda _: True
) -> Scenario:
    """Return a scenario whose step is numbered by the tool results so far.

    Past the last step it repeats that step. `when` selects its requests.
    """

    def scenario(request: SimRequest) -> SimStep | None:
        if not when(request):
            return None
        return steps[min(len(request.results), len(steps) - 1)]

    return scenario


def _marker(request: SimRequest) -> re.Match[str] | None:
    for text in (request.model, request.system, *request.user_texts):
        if found := _BENCH.search(text):
            return found
    return None
