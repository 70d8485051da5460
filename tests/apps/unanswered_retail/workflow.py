"""The retail desk, unanswered."""

from examples.retail.contracts import Request, Resolution
from tests.apps.unanswered_retail.contracts import UNANSWERED
from workflows.agent import AgentWorkflow


class UnansweredDesk(AgentWorkflow[Request, Resolution], contract=UNANSWERED):
    """Goes on without what nobody allowed."""
