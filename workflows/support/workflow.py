"""The support desk as a workflow: the tool loop, under its contract."""

from keyturn import AgentWorkflow
from keyturn.workflows.support.contracts import SUPPORT, Resolution, Ticket


class SupportTicket(AgentWorkflow[Ticket, Resolution], contract=SUPPORT):
    """Settles one ticket, or leaves it with a person and all that was gathered."""
