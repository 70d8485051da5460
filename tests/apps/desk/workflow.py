"""The desk's workflow: the default loop."""

from tests.apps.desk.contracts import DESK, Resolution, Ticket
from workflows.agent import AgentWorkflow


class Desk(AgentWorkflow[Ticket, Resolution], contract=DESK):
    """The tool loop."""
