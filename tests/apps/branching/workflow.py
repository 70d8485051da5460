"""A workflow that asks what a ticket is, and hands off or acts."""

from tests.apps.branching.contracts import BRANCHING, Kind
from tests.apps.desk.contracts import Resolution, Ticket
from workflows.agent import AgentWorkflow, Ref


class Branching(AgentWorkflow[Ticket, Resolution], contract=BRANCHING):
    """Asks first, then acts."""

    async def run(self) -> Ref[Resolution]:
        answer = await self.ask("sort", Kind, instructions="What is this about?")
        if answer.kind == "angry":
            await self.hand_off("the customer is angry")
        return await self.act("solve", instructions=f"Solve the {answer.kind}.")
