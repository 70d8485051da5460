"""The wary desk: the tool loop."""

from keyturn import AgentWorkflow
from keyturn.workflows.support.contracts import Resolution, Ticket
from tests.apps.wary.contracts import WARY


class WaryTicket(AgentWorkflow[Ticket, Resolution], contract=WARY):
    """Settles one ticket and asks about everything."""
