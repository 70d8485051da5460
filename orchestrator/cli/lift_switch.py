"""Lifts a switch by one person, on the database of this environment."""

import getpass

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.processes.database import with_store
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.dual_control import break_glass


def lift_alone(switch: str, reason: str) -> None:
    """Lift a switch at once, which opens a critical incident, and print the result."""
    by = f"cli:{getpass.getuser()}"

    async def work(store: Store) -> int:
        return len(await break_glass.lift(store, switch, by=by, reason=reason))

    signalled = with_store(work)
    output.line(
        f"Lifted {switch} alone, as {by}; {signalled} runs go on. A critical incident was "
        "opened: somebody else reads and closes it."
    )
