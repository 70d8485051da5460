"""A scripted model for the support desk; it asks no model and learns nothing.

`python -m keyturn.activities.llm.simulator --scenario keyturn.activities.llm.simulator.support:play`.
It follows the ticket's words: what an honest model would do where they are honest, and
where they are an attack, what a model would do that falls for it.
"""

from keyturn.activities.llm.simulator.request import SimRequest
from keyturn.activities.llm.simulator.step import SimStep
from keyturn.activities.llm.simulator.support import attacks, service
from keyturn.activities.llm.simulator.support.desk import Desk


def play(request: SimRequest) -> SimStep | None:
    """Return the desk's next step; None for a request that is not the desk's."""
    desk = Desk.of(request)
    if desk is None:
        return None
    return (attacks.fall_for(desk) or service.serve)(desk)


__all__ = ["play"]
