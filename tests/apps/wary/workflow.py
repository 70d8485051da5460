"""The wary desk: the tool loop."""

from tests.apps.wary.contracts import WARY
from workflows.agent import AgentWorkflow
from workflows.support.contracts import Resolution, Ticket


class WaryTicket(AgentWorkflow[Ticket, Resolution], contract=WARY):
    """Settles one ticket and asks about everything."""
