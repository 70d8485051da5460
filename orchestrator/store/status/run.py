"""The status of a run: no other module writes it. One begins as `queued`."""

from keyturn.orchestrator.rules.status import RUN_TRANSITIONS, RunStatus, is_allowed
from keyturn.orchestrator.store.status.errors import NoSuchTransition
from keyturn.orchestrator.store.tables import RunRow


def move(row: RunRow, to: RunStatus) -> None:
    """Give a locked run another status; raises `NoSuchTransition`."""
    if not is_allowed(RUN_TRANSITIONS, row.status, to):
        raise NoSuchTransition("run", row.id, row.status, to)
    row.status = to
