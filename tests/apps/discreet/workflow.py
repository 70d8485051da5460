"""The tool loop."""

from tests.apps.discreet.contracts import DISCREET, Resolution, Ticket
from workflows.agent import AgentWorkflow


class Discreet(AgentWorkflow[Ticket, Resolution], contract=DISCREET):
    """Looks accounts up and closes them."""
