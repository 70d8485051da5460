"""Whether the audit log is intact, and the tables hold what it says (P13).

Checked in both directions: each row that an entry describes exists and matches its
latest entry, and each row has an entry. Entries and rows are read by pages in short
transactions; a difference is read again, entries and rows in one transaction, before it
is reported: other processes keep writing.
"""

from pydantic import BaseModel, ConfigDict

from keyturn.orchestrator.rules.authority.binding import Verifier
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.digests import KEPT
from keyturn.orchestrator.store.integrity.discrepancies import Discrepancy
from keyturn.orchestrator.store.integrity.log_walk import LogWalk, Progress
from keyturn.orchestrator.store.integrity.row_check import RowCheck
from keyturn.orchestrator.store.integrity.row_statements import Said


class Finding(BaseModel):
    """The result of `verify`: the chain with its first break, and the discrepancies.

    At most 1,000 `discrepancies` of `found`. `signatures` is the number checked, None
    without a key. `undigested` entries and `unvouched` rows are older than the digests.
    """

    model_config = ConfigDict(frozen=True)

    sealed: int
    unsealed: int
    head: str
    broken_at: int | None = None
    why: str | None = None
    rows: int = 0
    signatures: int | None = None
    undigested: int = 0
    unvouched: int = 0
    found: int = 0
    discrepancies: tuple[Discrepancy, ...] = ()

    @property
    def is_intact(self) -> bool:
        """Tell whether no discrepancy was found."""
        return self.broken_at is None and not self.found


def keys(settings: Settings) -> Verifier | None:
    """Return the verifier of decisions' signatures, or None without a decision key."""
    if settings.decision_key is None:
        return None
    former = settings.former_decision_keys
    known = [settings.decision_key.get_secret_value(), *([former] if former else [])]
    return Verifier(",".join(known))


async def verify(
    store: Store,
    *,
    checkpoint: str | None = None,
    verifier: Verifier | None = None,
    progress: Progress | None = None,
) -> Finding:
    """Walk the whole chain and compare the tables with it.

    `checkpoint` is a head hash published earlier; with `verifier` the signatures of
    decisions are checked, too.
    """
    with Said() as said:
        walk = LogWalk(store, said, checkpoint, progress or _unheard)
        await walk.log()
        tables = RowCheck(store, walk, verifier)
        for kept in KEPT.values():
            await tables.compare(kept)
        await tables.look_for_the_missing()
        await walk.look_for_refused()
        await walk.look_for_holes()
        return _finding(walk, tables)


def _unheard(_what: str, _count: int) -> None:
    """Report no progress."""


def _finding(walk: LogWalk, rows: RowCheck) -> Finding:
    broken_at, why = walk.broken or (None, None)
    return Finding(
        sealed=walk.position,
        unsealed=walk.unsealed,
        head=walk.head,
        broken_at=broken_at,
        why=why,
        rows=rows.count,
        signatures=rows.signatures,
        undigested=walk.undigested,
        unvouched=sum(rows.unvouched.values()),
        found=walk.findings.count,
        discrepancies=tuple(walk.findings.shown),
    )
