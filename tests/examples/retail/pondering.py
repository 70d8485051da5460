"""The recorded cases by a model that takes half a second for each reply."""

from activities.llm.simulator import SimRequest, SimStep, slow
from examples.retail import simulation

REPLY_S = 0.5


def play(request: SimRequest) -> SimStep | None:
    """Give the case's next call, after a while."""
    step = simulation.play(request)
    return None if step is None else slow(REPLY_S, step)
