"""The loop's workflows: the default run of each contract."""

from benchmarks.apps.loop.contracts import WHOLE, WINDOWED, Job, Report
from keyturn import AgentWorkflow


class Whole(AgentWorkflow[Job, Report], contract=WHOLE):
    """Sends the whole transcript in every turn."""


class Windowed(AgentWorkflow[Job, Report], contract=WINDOWED):
    """Sends the latest turns alone."""
