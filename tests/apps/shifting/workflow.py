"""A workflow that waits before it acts, in its later version."""

from temporalio import workflow

from keyturn.workflows.agent import AgentWorkflow, Ref
from tests.apps.desk.contracts import Resolution, Ticket
from tests.apps.shifting.contracts import DEPLOYED, SHIFTING


class Shifting(AgentWorkflow[Ticket, Resolution], contract=SHIFTING):
    """Acts; a later version sleeps first, which no running history has."""

    async def run(self) -> Ref[Resolution]:
        if DEPLOYED:
            await workflow.sleep(1)
        return await self.act("solve")
