"""The workflow of a desk that refunds items: the default loop."""

from keyturn import AgentWorkflow
from tests.apps.desk.contracts import Resolution, Ticket
from tests.apps.priced.contracts import PRICED


class Priced(AgentWorkflow[Ticket, Resolution], contract=PRICED):
    """The tool loop."""
