"""Sources: where external ids come from. Each belongs to one account."""

from pydantic import BaseModel, ConfigDict

from keyturn.orchestrator.rules.text import folded_name
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import SourceRow
from keyturn.orchestrator.store.tenants.errors import SourceTaken

SYSTEM = "system"


class Origin(BaseModel):
    """The origin of a run: an external id names one run within it, forever.

    `source` is None if it is the account's own, which nobody else can name.
    """

    model_config = ConfigDict(frozen=True)

    space: str
    key: str
    source: str | None = None
    owner: str


def of(source: str | None, external_id: str, *, by: str | None, is_own: bool) -> Origin:
    """Return the origin of the runs that `by` starts, in one spelling."""
    owner, key = by or SYSTEM, folded_name.fold(external_id)
    if is_own or not source:
        return Origin(space=f"account {owner} {source or ''}", key=key, owner=owner)
    space = f"source {folded_name.fold(source)}"
    return Origin(space=space, key=key, source=source, owner=owner)


async def check(session: Tx, origin: Origin) -> None:
    """Raise `SourceTaken` if the source belongs to another account."""
    if origin.source is None:
        return
    row = await session.get(SourceRow, folded_name.fold(origin.source))
    if row is not None and row.owner != origin.owner:
        raise _taken(origin.source)


async def claim(session: Tx, origin: Origin) -> None:
    """Assign an unowned source to the origin's owner; raises `SourceTaken`."""
    if origin.source is None:
        return
    key = folded_name.fold(origin.source)
    row = await session.get(SourceRow, key)
    if row is None:
        # One at a time claims an unowned source; its later runs wait for nothing.
        await session.take_turn(f"source {key}")
        row = await session.get(SourceRow, key)
    if row is not None and row.owner != origin.owner:
        raise _taken(origin.source)
    if row is not None:
        return
    await _own(session, origin.source, owner=origin.owner, by=origin.owner)


async def give(store: Store, source: str, owner: str, *, by: str) -> None:
    """Assign a source to an account, even if owned: for direct database access."""
    async with store.write() as session:
        key = folded_name.fold(source)
        await session.take_turn(f"source {key}")
        row = await session.get(SourceRow, key, populate_existing=True)
        if row is None:
            await _own(session, source, owner=owner, by=by)
            return
        before, row.owner = row.owner, owner
        entry = _entry(source, owner, by, before=before)
        log.record(session, entry, at=await session.read_clock())


async def _own(session: Tx, source: str, *, owner: str, by: str) -> None:
    now = await session.read_clock()
    row = SourceRow(
        key=folded_name.fold(source), name=source, owner=owner, created_at=now
    )
    session.add(row)
    log.record(session, _entry(source, owner, by, before=None), at=now)


def _entry(source: str, owner: str, by: str, *, before: str | None) -> log.Entry:
    return log.Entry(
        actor=by,
        kind="source.owned",
        subject=folded_name.bounded(source),
        payload={"owner": owner, "before": before},
    )


def _taken(source: str) -> SourceTaken:
    return SourceTaken(
        f"The source {source!r} belongs to another account, and so do its external "
        "ids. Use a source of your own, or have it transferred to you on the server "
        f"host: `keyturn user source EMAIL {source!r}`."
    )
