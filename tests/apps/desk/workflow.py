"""The desk's workflow: the default loop."""

from keyturn import AgentWorkflow
from tests.apps.desk.contracts import DESK, Resolution, Ticket


class Desk(AgentWorkflow[Ticket, Resolution], contract=DESK):
    """The tool loop."""
