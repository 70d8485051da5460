"""The record at the end of a test: the audit log and the tables say the same."""

from orchestrator.binding import Verifier
from orchestrator.store import verification
from orchestrator.store.engine import Store
from orchestrator.store.sealing import Sealer


async def check_whole(store: Store, verifier: Verifier | None = None) -> None:
    """Seal what there is, and fail where anything is found that nobody did."""
    sealer = Sealer(store)
    while await sealer.seal():
        pass
    finding = await verification.verify(store, verifier=verifier)
    assert finding.broken_at is None, finding.why
    assert not finding.found, "\n".join(one.line for one in finding.discrepancies)
