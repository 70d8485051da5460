"""The support desk: the tool loop."""

from keyturn import AgentWorkflow
from keyturn.workflows.support.contracts import Resolution, Ticket
from tests.apps.apart.contracts import APART


class SupportTicket(AgentWorkflow[Ticket, Resolution], contract=APART):
    """Settles one ticket of one of many tenants."""
