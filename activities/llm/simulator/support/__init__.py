"""A scripted model for the support desk; it uses no model and learns nothing.

`python -m keyturn.activities.llm.simulator --scenario keyturn.activities.llm.simulator.support:play`.
It follows the ticket's text: for an honest ticket it acts as an honest model would, and
for an attack as a model that is deceived by it.
"""

from keyturn.activities.llm.simulator.request import SimRequest
from keyturn.activities.llm.simulator.step import SimStep
from keyturn.activities.llm.simulator.support import attacks, service
from keyturn.activities.llm.simulator.support.desk import Desk


def play(request: SimRequest) -> SimStep | None:
    """Return the desk's next step; None for a request from another workflow."""
    desk = Desk.of(request)
    if desk is None:
        return None
    return (attacks.fall_for(desk) or service.serve)(desk)


__all__ = ["play"]
