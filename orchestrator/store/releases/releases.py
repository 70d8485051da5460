"""Releases in the record: any process loads behaviour from here, by hash."""

from collections import OrderedDict
from datetime import timedelta

from sqlmodel import col, select, tuple_

from keyturn.orchestrator.rules.authority.binding import Live, Signer
from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.errors import InvalidValue, NotFound
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.releases import continuity
from keyturn.orchestrator.store.releases.errors import ReleaseChanged
from keyturn.orchestrator.store.tables import ReleaseRow

_CACHE_SIZE = 64
# A release never changes under its hash, so a process may keep parsed ones.
_parsed: OrderedDict[str, Release] = OrderedDict()


async def publish(
    store: Store,
    release: Release,
    *,
    code_version: str,
    signer: Signer,
    by: str = "system",
) -> str:
    """Store a release and put it live, signed, unless it is live; return its hash.

    Raises `GuardLost` or `HistoryLost` if its tools would lose their guards or history.
    """
    name = release.hash()
    async with store.write() as session:
        # Workers of one deployment start at once and bring the same release.
        await session.take_turn(f"release {release.workflow}")
        now = await session.read_clock()
        live = await live_row(session, release.workflow)
        if live is not None and live.hash == name and _has_signed(signer, live):
            return name
        await continuity.check(session, release, live)
        row = await session.get(ReleaseRow, name)
        if row is None:
            row = ReleaseRow(
                hash=name,
                workflow=release.workflow,
                content=release.data(),
                code_version=code_version,
                created_at=now,
            )
            session.add(row)
        if (
            live is not None
            and _has_signed(signer, live)
            and live.live_since is not None
        ):
            # A clock that was set back puts nothing before the live release.
            now = max(now, live.live_since + timedelta(microseconds=1))
        row.live_since, row.live_by = now, by
        sign(row, signer)
        await _take_back_later(session, row)
        log.record(session, _went_live(row), at=now)
    return name


def signed(row: ReleaseRow) -> Live | None:
    """Return what the signature of a release that is or was live must cover."""
    if row.live_since is None or row.live_by is None:
        return None
    return Live(
        workflow=row.workflow,
        release=row.hash,
        code_version=row.code_version,
        live_since=row.live_since,
        live_by=row.live_by,
    )


def sign(row: ReleaseRow, signer: Signer) -> None:
    """Sign that a release went live."""
    said = signed(row)
    row.signature = None if said is None else signer.sign(said)


def _went_live(row: ReleaseRow) -> log.Entry:
    return log.Entry(
        actor=row.live_by or "system",
        kind="release.went_live",
        subject=row.hash,
        payload={"workflow": row.workflow, "code_version": row.code_version},
    )


async def get(session: Tx, name: str) -> ReleaseRow:
    """Return the release's row, or raise `NotFound`."""
    row = await session.get(ReleaseRow, name)
    if row is None:
        raise NotFound(kind="release", name=name)
    return row


async def load(session: Tx, name: str) -> Release:
    """Return the release of that hash, or raise `NotFound`."""
    if name in _parsed:
        _parsed.move_to_end(name)
        return _parsed[name]
    return _remember(await get(session, name))


async def code_version(session: Tx, name: str) -> str:
    """Return the version of the code that registered a release."""
    row = await session.get(ReleaseRow, name)
    return row.code_version if row else ""


async def live(session: Tx, workflow: str) -> tuple[str, Release]:
    """Return the hash and release that new runs of a workflow use."""
    row = await live_row(session, workflow)
    if row is None:
        known = tuple(name for name, _ in await all_live(session))
        raise NotFound(kind="workflow", name=workflow, known=known)
    return row.hash, _parsed.get(row.hash) or _remember(row)


async def all_live(session: Tx) -> list[tuple[str, Release]]:
    """Return each workflow's name and live release, by name."""
    names = (
        await session.execute(
            select(ReleaseRow.workflow).distinct().order_by(col(ReleaseRow.workflow))
        )
    ).scalars()
    found: list[tuple[str, Release]] = []
    for name in list(names):
        row = await live_row(session, name)
        if row is not None:
            found.append((name, _parsed.get(row.hash) or _remember(row)))
    return found


async def history(session: Tx, *, workflow: str | None) -> list[ReleaseRow]:
    """Return releases, newest first."""
    query = select(ReleaseRow).order_by(col(ReleaseRow.created_at).desc()).limit(200)
    if workflow is not None:
        query = query.where(col(ReleaseRow.workflow) == workflow)
    return list((await session.execute(query)).scalars())


async def listing(
    session: Tx,
    *,
    workflow: str | None,
    limit: int,
    before: str | None = None,
) -> list[ReleaseRow]:
    """Return releases, newest first; `before` is the last hash of the page before."""
    newest = (col(ReleaseRow.created_at).desc(), col(ReleaseRow.hash).desc())
    query = select(ReleaseRow).order_by(*newest).limit(limit)
    if workflow is not None:
        query = query.where(col(ReleaseRow.workflow) == workflow)
    if before is not None:
        last = await session.get(ReleaseRow, before)
        if last is None:
            raise InvalidValue(
                f"cursor: there is no release {before!r}; start again without a cursor"
            )
        place = tuple_(col(ReleaseRow.created_at), col(ReleaseRow.hash))
        query = query.where(place < tuple_(last.created_at, last.hash))
    return list((await session.execute(query)).scalars())


async def live_hashes(session: Tx) -> frozenset[str]:
    """Return the hashes that new runs use."""
    names = select(ReleaseRow.workflow).distinct()
    rows = [
        await live_row(session, name)
        for name in list((await session.execute(names)).scalars())
    ]
    return frozenset(row.hash for row in rows if row is not None)


async def _take_back_later(session: Tx, row: ReleaseRow) -> None:
    """Let no release be live after the one that goes live now.

    Only a forger dates one ahead.
    """
    later = select(ReleaseRow).where(
        col(ReleaseRow.workflow) == row.workflow,
        col(ReleaseRow.hash) != row.hash,
        col(ReleaseRow.live_since) >= row.live_since,
    )
    for one in (await session.execute(later)).scalars():
        one.live_since = None


def _has_signed(signer: Signer, row: ReleaseRow) -> bool:
    said = signed(row)
    return said is not None and row.signature == signer.sign(said)


async def live_row(session: Tx, workflow: str) -> ReleaseRow | None:
    """Return the row of the release that new runs of a workflow use, as stored."""
    query = (
        select(ReleaseRow)
        .where(col(ReleaseRow.workflow) == workflow)
        .where(col(ReleaseRow.live_since).is_not(None))
        .order_by(col(ReleaseRow.live_since).desc())
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()


def _remember(row: ReleaseRow) -> Release:
    if canonical.digest(row.content) != row.hash:
        raise ReleaseChanged(
            f"Release {row.hash} was changed in the database after it was stored; "
            "nothing is done under it. Restore it from a backup."
        )
    release = Release.model_validate(row.content)
    _parsed[row.hash] = release
    while len(_parsed) > _CACHE_SIZE:
        _parsed.popitem(last=False)
    return release
