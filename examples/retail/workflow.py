"""The retail desk as a workflow: the tool loop, under the shop's contract."""

from examples.retail.contracts import RETAIL, Request, Resolution
from keyturn import AgentWorkflow


class RetailDesk(AgentWorkflow[Request, Resolution], contract=RETAIL):
    """Serves one customer until the request is settled or a person takes over."""
