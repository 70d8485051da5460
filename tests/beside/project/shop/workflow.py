"""The shop's workflow: the default loop."""

from keyturn import AgentWorkflow
from shop.contracts import SHOP, Outcome, Ticket


class Shop(AgentWorkflow[Ticket, Outcome], contract=SHOP):
    """Serves customers."""
