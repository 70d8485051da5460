"""The support desk: the tool loop."""

from tests.apps.apart.contracts import APART
from workflows.agent import AgentWorkflow
from workflows.support.contracts import Resolution, Ticket


class SupportTicket(AgentWorkflow[Ticket, Resolution], contract=APART):
    """Settles one ticket of one of many tenants."""
