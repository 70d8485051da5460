"""What an effect worker trusts: signed releases, and its own code's contracts.

The database alone starts nothing: a release shapes an action only if a process with the
decision key put it live, and stricter rules of this worker's code count, too (P11).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from keyturn.orchestrator.rules.authority.binding import Verifier
from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.tables import ReleaseRow, RunRow


@dataclass(frozen=True)
class Trust:
    """Checks signatures; `own` are the releases of the worker's code, by workflow."""

    verifier: Verifier
    own: Mapping[str, Release] = field(default_factory=dict[str, Release])
    # A release never changes under its hash, and what was signed stays signed.
    _pinned: set[str] = field(default_factory=set[str])
    _signed: set[tuple[bytes, str]] = field(default_factory=set[tuple[bytes, str]])

    async def why_not(self, session: Tx, run: RunRow) -> str | None:
        """Return which of the releases that judge a run's actions nobody put live."""
        live = await releases.live_row(session, run.workflow)
        if live is not None and not self._is_genuine(live):
            return f"the live release {live.hash} carries no signature of ours"
        if run.release in self._pinned:
            return None
        pinned = await releases.get(session, run.release)
        if not self._is_genuine(pinned):
            return f"the run's release {pinned.hash} carries no signature of ours"
        return None

    def _is_genuine(self, row: ReleaseRow) -> bool:
        signed = releases.signed(row)
        if signed is None or row.signature is None:
            return False
        said = (signed.encode(), row.signature)
        if said not in self._signed and not self.verifier.is_genuine(
            signed, row.signature
        ):
            return False
        self._signed.add(said)
        self._pinned.add(row.hash)
        return True
