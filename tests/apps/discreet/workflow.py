"""The tool loop."""

from keyturn import AgentWorkflow
from tests.apps.discreet.contracts import DISCREET, Resolution, Ticket


class Discreet(AgentWorkflow[Ticket, Resolution], contract=DISCREET):
    """Looks accounts up and closes them."""
