"""The retail desk, unanswered."""

from examples.retail.contracts import Request, Resolution
from keyturn import AgentWorkflow
from tests.apps.unanswered_retail.contracts import UNANSWERED


class UnansweredDesk(AgentWorkflow[Request, Resolution], contract=UNANSWERED):
    """Goes on without what nobody allowed."""
