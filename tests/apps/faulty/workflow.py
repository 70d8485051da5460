"""A workflow whose own code fails after a step that was paid for."""

from keyturn.workflows.agent import AgentWorkflow, Ref
from tests.apps.desk.contracts import Resolution, Ticket
from tests.apps.faulty.contracts import FAULTY


class Faulty(AgentWorkflow[Ticket, Resolution], contract=FAULTY):
    """Acts, then trips."""

    async def run(self) -> Ref[Resolution]:
        await self.act("solve")
        raise LookupError("the author's mistake, password=hunter2222")
