"""What no workflow of ours asks for: refused, shown, and its execution given up."""

from typing import NoReturn

from temporalio.exceptions import ApplicationError

from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.integrity import forgery


async def refuse(store: Store, run: str, words: str) -> NoReturn:
    """Open an incident and end the execution; the run is started again from the record.

    Somebody has written into Temporal, or answered in a worker's place: what the
    execution believes is of no use any more, and nothing of it is carried out.
    """
    await forgery.tell(store, run, words)
    raise from_the_record()


def from_the_record() -> ApplicationError:
    """Return the error that ends an execution; its run is begun again."""
    return ApplicationError(
        "asked for what the record does not have; it goes on from the record",
        type="OutOfOrder",
        non_retryable=True,
    )
