"""Refuses and reports requests that no workflow of ours makes; ends the execution."""

from typing import NoReturn

from temporalio.exceptions import ApplicationError

from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.integrity import forgery


async def refuse(store: Store, run: str, words: str) -> NoReturn:
    """Open an incident and end the execution; the run is restarted from the record.

    Somebody has written into Temporal, or answered in a worker's place: the
    execution's state can no longer be trusted, and nothing of it is carried out.
    """
    await forgery.tell(store, run, words)
    raise from_the_record()


def from_the_record() -> ApplicationError:
    """Return the error that ends an execution; its run is then restarted."""
    return ApplicationError(
        "asked for what the record does not have; it goes on from the record",
        type="OutOfOrder",
        non_retryable=True,
    )
