"""The recorded cases by a model that takes its time, and the longest to begin.

A case that waits for nobody is over as soon as its replies are there: on a busy machine
before anybody has found it at work.
"""

from examples.retail import simulation
from keyturn.activities.llm.simulator import SimRequest, SimStep, slow

FIRST_REPLY_S = 3.0
REPLY_S = 0.5


def play(request: SimRequest) -> SimStep | None:
    """Give the case's next call, after a while."""
    step = simulation.play(request)
    if step is None:
        return None
    return slow(REPLY_S if request.results else FIRST_REPLY_S, step)
