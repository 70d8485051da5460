"""Workflows that ask before or after they act."""

from keyturn.workflows.agent import AgentWorkflow, Ref
from tests.apps.branching.contracts import BRANCHING, THOROUGH, Kind
from tests.apps.desk.contracts import Resolution, Ticket


class Branching(AgentWorkflow[Ticket, Resolution], contract=BRANCHING):
    """Asks first, then acts."""

    async def run(self) -> Ref[Resolution]:
        answer = await self.ask("sort", Kind, instructions="What is this about?")
        if answer.kind == "angry":
            await self.hand_off("the customer is angry")
        return await self.act("solve", instructions=f"Solve the {answer.kind}.")


class Thorough(AgentWorkflow[Ticket, Resolution], contract=THOROUGH):
    """Acts as every workflow does, and asks what it was."""

    async def run(self) -> Ref[Resolution]:
        solved = await super().run()
        answer = await self.ask("sort", Kind, instructions="What was this about?")
        if answer.kind == "angry":
            await self.hand_off("the customer is angry")
        return solved
