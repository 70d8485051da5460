"""The record at the end of a test: the audit log and the tables say the same."""

import os
import zlib

from keyturn.orchestrator.rules.authority.binding import Verifier
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.integrity import verification
from keyturn.orchestrator.store.integrity.sealer import Sealer
from tests.depth import SEARCHES

# One in so many of the tests that only happen to have a record: each costs some 20 ms.
ONE_IN = 4


def is_chosen() -> bool:
    """Whether this test's record is compared at its end: all are with KEYTURN_SEARCH=1."""
    name = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    return SEARCHES or zlib.crc32(name.encode()) % ONE_IN == 0


async def check_whole(store: Store, verifier: Verifier | None = None) -> None:
    """Seal what there is, and fail where anything is found that nobody did."""
    sealer = Sealer(store)
    while await sealer.seal():
        pass
    finding = await verification.verify(store, verifier=verifier)
    assert finding.broken_at is None, finding.why
    assert not finding.found, "\n".join(one.line for one in finding.discrepancies)
