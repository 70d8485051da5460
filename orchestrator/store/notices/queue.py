"""Notices: created from the audit log, sent until accepted or given up.

An event is marked on its audit row, in the transaction that it belongs to; its
recipients are determined later, by the process that sends. So a decision never waits
for a notice, and no notice is lost with a process: the mark is removed in the
transaction that adds the notices. There is no cursor over ids: rows commit out of
order.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlmodel import col, delete, func, or_, select, update

from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.notice import (
    ACCOUNT_KINDS,
    KINDS,
    MAILED_BY_DEFAULT,
    Channel,
    NoticeKind,
)
from keyturn.orchestrator.rules.text import scrub
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.notices.errors import NotDead
from keyturn.orchestrator.store.people import accounts
from keyturn.orchestrator.store.tables import NoticeRow

State = Literal["due", "sent", "dead"]

# After each failed try, as Standard Webhooks recommends; then it is a dead letter.
WAITS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
MOST_TRIES = len(WAITS) + 1
# Longer than any send may take, so that no other process sends it meanwhile.
CLAIM = timedelta(seconds=60)
# At most one mail per person in this time; it lists all that waits for them. An event
# of their own account has a mail of its own, at once.
MAIL_EVERY = timedelta(minutes=5)
LARGEST_MAIL = 50
LARGEST_LOOK = 200
KEPT_FOR = timedelta(days=30)


class Batch(BaseModel):
    """What to send to one recipient now: one event to a webhook, all to a person."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    channel: Channel
    target: str
    rows: tuple[NoticeRow, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """Return the notices' ids."""
        return tuple(row.id for row in self.rows if row.id is not None)


async def claim(
    store: Store, *, busy: Collection[str] = (), limit: int = 20
) -> list[Batch]:
    """Return the due notices, claimed for a minute; none for `busy` recipients.

    So one slow recipient delays nobody else.
    """
    async with store.read() as session:
        await session.read_clock()
        if not await _due(session, busy, most=1):
            return []
    async with store.write() as session:
        now = await session.read_clock()
        # By recipient, the one that has waited longest first.
        waiting: dict[tuple[Channel, str], list[NoticeRow]] = {}
        for row in await _due(session, busy):
            waiting.setdefault((row.channel, row.target), []).append(row)
        found: list[Batch] = []
        for (channel, target), rows in waiting.items():
            chosen = await _chosen(session, channel, target, rows)
            if chosen:
                found.append(_batch(channel, target, chosen))
            if len(found) == limit:
                break
        for batch in found:
            for row in batch.rows:
                row.claimed_until, row.tries = now + CLAIM, row.tries + 1
        return found


async def sent(store: Store, ids: Collection[int], *, why: str | None = None) -> None:
    """Mark these as arrived; with `why`, as no longer necessary."""
    async with store.write() as session:
        now = await session.read_clock()
        for row in await _by_ids(session, ids):
            row.claimed_until, row.last_error = None, why
            row.done_at, row.dead_at = now, None


async def failed(
    store: Store, ids: Collection[int], *, error: str, for_good: bool = False
) -> None:
    """Record why these did not arrive; they are retried, or dead letters now."""
    async with store.write() as session:
        now = await session.read_clock()
        for row in await _by_ids(session, ids):
            if row.done_at is not None or row.dead_at is not None:
                continue
            row.claimed_until, row.last_error = None, scrub.text(error)[:500]
            if for_good or row.tries >= MOST_TRIES:
                row.dead_at = now
            else:
                row.due_at = now + WAITS[max(0, row.tries - 1)]


async def retry(
    store: Store, notice: int | None, *, tenant: str | None, target: str | None = None
) -> int:
    """Send a dead letter again, or all of a recipient; return how many.

    Raises `NotFound`, or `NotDead` for a notice that is on its way or has arrived.
    """
    async with store.write() as session:
        now = await session.read_clock()
        if notice is not None:
            row = await get(session, notice, tenant=tenant)
            await session.refresh(row, with_for_update=True)
            if row.dead_at is None:
                raise NotDead(
                    f"Notice {notice} is {state(row)}; only a dead letter can be sent again "
                    "by hand."
                )
            rows = [row]
        else:
            rows = await _dead(session, tenant=tenant, target=target)
        for row in rows:
            row.dead_at, row.claimed_until, row.tries, row.due_at = None, None, 0, now
        return len(rows)


async def get(session: Tx, notice: int, *, tenant: str | None) -> NoticeRow:
    """Return the notice, or raise `NotFound`, also for another tenant's."""
    row = await session.get(NoticeRow, notice)
    if row is None or tenant not in (None, row.tenant):
        raise NotFound(kind="notice", name=str(notice))
    return row


def state(row: NoticeRow) -> State:
    """Tell whether a notice is on its way, has ended or was given up."""
    if row.dead_at is not None:
        return "dead"
    return "due" if row.done_at is None else "sent"


async def listing(
    session: Tx,
    wanted: State | None,
    *,
    tenant: str | None,
    limit: int,
    before: int | None = None,
) -> list[NoticeRow]:
    """Return notices, the latest first; `before` is the last id of the page before."""
    query = select(NoticeRow).order_by(col(NoticeRow.id).desc()).limit(limit)
    if tenant is not None:
        query = query.where(col(NoticeRow.tenant) == tenant)
    if before is not None:
        query = query.where(col(NoticeRow.id) < before)
    if wanted == "dead":
        query = query.where(col(NoticeRow.dead_at).is_not(None))
    elif wanted is not None:
        is_open = col(NoticeRow.done_at).is_(None)
        query = query.where(is_open if wanted == "due" else ~is_open)
        query = query.where(col(NoticeRow.dead_at).is_(None))
    return list((await session.execute(query)).scalars())


async def dead_count(session: Tx, *, tenant: str | None) -> int:
    """Return how many dead letters there are."""
    query = select(func.count()).select_from(NoticeRow)
    query = query.where(
        col(NoticeRow.dead_at).is_not(None), col(NoticeRow.done_at).is_(None)
    )
    if tenant is not None:
        query = query.where(col(NoticeRow.tenant) == tenant)
    return (await session.execute(query)).scalar_one()


async def mailed_about(session: Tx, person: str) -> tuple[tuple[NoticeKind, ...], bool]:
    """Return what a person is mailed about, and whether they chose it."""
    row = await accounts.get(session, person)
    chosen = MAILED_BY_DEFAULT if row.mail_about is None else row.mail_about
    return tuple(kind for kind in KINDS if kind in chosen), row.mail_about is not None


async def choose_mail(
    store: Store, person: str, kinds: Collection[NoticeKind] | None
) -> None:
    """Set what a person is mailed about; None for the default."""
    async with store.write() as session:
        row = await accounts.get(session, person)
        row.mail_about = None if kinds is None else [k for k in KINDS if k in kinds]


async def give_up(session: Tx, target: str, *, error: str) -> None:
    """Turn everything on its way to a recipient into dead letters."""
    await session.execute(
        update(NoticeRow)
        .where(col(NoticeRow.target) == target, col(NoticeRow.done_at).is_(None))
        .where(col(NoticeRow.dead_at).is_(None))
        .values(
            dead_at=session.now, last_error=scrub.text(error)[:500], claimed_until=None
        )
    )


async def drop(session: Tx, target: str) -> None:
    """Delete all notices of a recipient that no longer exists."""
    await session.execute(delete(NoticeRow).where(col(NoticeRow.target) == target))


async def forget(store: Store) -> int:
    """Delete notices that arrived long ago; return how many. Dead letters stay."""
    async with store.write() as session:
        limit = await session.read_clock() - KEPT_FOR
        old = select(NoticeRow.id).where(col(NoticeRow.done_at) < limit).limit(500)
        ids = list((await session.execute(old)).scalars())
        if ids:
            await session.execute(delete(NoticeRow).where(col(NoticeRow.id).in_(ids)))
        return len(ids)


def _batch(channel: Channel, target: str, rows: list[NoticeRow]) -> Batch:
    return Batch(channel=channel, target=target, rows=tuple(rows))


async def _due(
    session: Tx, busy: Collection[str], *, most: int | None = None
) -> list[NoticeRow]:
    """Return the due notices, locked; with `most`, only read."""
    query = (
        select(NoticeRow)
        .where(col(NoticeRow.done_at).is_(None), col(NoticeRow.dead_at).is_(None))
        .where(col(NoticeRow.due_at) <= session.now)
        .where(
            or_(
                col(NoticeRow.claimed_until).is_(None),
                col(NoticeRow.claimed_until) < session.now,
            )
        )
        .order_by(col(NoticeRow.due_at), col(NoticeRow.id))
        .limit(most or LARGEST_LOOK)
    )
    if most is None:
        query = query.with_for_update(skip_locked=True)
    if busy:
        query = query.where(col(NoticeRow.target).not_in(busy))
    return list((await session.execute(query)).scalars())


async def _chosen(
    session: Tx, channel: Channel, target: str, rows: list[NoticeRow]
) -> list[NoticeRow]:
    """Return which of these are sent now."""
    alive = [row for row in rows if not _is_given_up(row, now=session.now)]
    if channel == "webhook":
        return alive[:1]
    if own := [row for row in alive if row.kind in ACCOUNT_KINDS]:
        return own[:LARGEST_MAIL]
    last = await _last_mail(session, target)
    if last is not None and last + MAIL_EVERY > session.now:
        for row in alive:
            row.due_at = last + MAIL_EVERY
        return []
    return alive[:LARGEST_MAIL]


def _is_given_up(row: NoticeRow, *, now: datetime) -> bool:
    """End a notice whose senders died each time before they could say why it failed."""
    if row.tries < MOST_TRIES:
        return False
    row.dead_at = now
    row.last_error = row.last_error or "the process that sent it died each time"
    return True


async def _last_mail(session: Tx, person: str) -> datetime | None:
    query = select(func.max(col(NoticeRow.done_at))).where(
        col(NoticeRow.channel) == "mail",
        col(NoticeRow.target) == person,
        col(NoticeRow.last_error).is_(None),
        col(NoticeRow.kind).not_in(ACCOUNT_KINDS),
    )
    return (await session.execute(query)).scalar_one()


async def _dead(
    session: Tx, *, tenant: str | None, target: str | None
) -> list[NoticeRow]:
    query = (
        select(NoticeRow)
        .where(col(NoticeRow.done_at).is_(None), col(NoticeRow.dead_at).is_not(None))
        .order_by(col(NoticeRow.id))
        .with_for_update(skip_locked=True)
        .limit(1_000)
    )
    if tenant is not None:
        query = query.where(col(NoticeRow.tenant) == tenant)
    if target is not None:
        query = query.where(col(NoticeRow.target) == target)
    return list((await session.execute(query)).scalars())


async def _by_ids(session: Tx, ids: Collection[int]) -> list[NoticeRow]:
    query = select(NoticeRow).where(col(NoticeRow.id).in_(ids))
    query = query.order_by(col(NoticeRow.id)).with_for_update()
    return list((await session.execute(query)).scalars())
