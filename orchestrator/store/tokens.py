"""API tokens, known by their hash; each acts as its owner, within its scopes."""

import hashlib
import secrets
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from orchestrator.errors import (
    InvalidValue,
    KeyturnError,
    NotFound,
    StoreUnavailable,
)
from orchestrator.store import audit, forged, people, tenants
from orchestrator.store.engine import Store
from orchestrator.store.runs import new_id
from orchestrator.store.tables import PersonRow, TokenRow

PREFIX = "kt_"
# A token's scope that stands for all that its owner may do.
EVERYTHING = "*"
# How old a last use may be before it is written again: reading stays reading.
USED_EVERY = timedelta(minutes=1)
# So long it waits for the database; then it is left for the next request.
USED_WAIT_S = 0.2


class NewToken(BaseModel):
    """A token to make; `scopes` are actions of the permission table, none opens nothing.

    `tenants` are those that a service's token starts runs for; none: its account's, or
    the only one that is declared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    scopes: tuple[str, ...] = (EVERYTHING,)
    tenants: tuple[str, ...] = ()
    ends_in: timedelta | None = None


@dataclass(frozen=True)
class Issued:
    """A new token; `plain` is shown once and kept nowhere."""

    plain: str
    row: TokenRow


class WiderThanItsToken(KeyturnError):
    """A token would make one that may do more, or lives longer, than it does itself."""


async def issue(
    store: Store, person: str, new: NewToken, *, by: str, made_with: str | None = None
) -> Issued:
    """Make a token of this person's.

    `made_with` is the token that asks for it, if one does: the new one is revoked with
    it and, where both are one person's, does no more and lives no longer. Raises
    `NotFound`, `WiderThanItsToken`, or `InvalidValue` for tenants that a service cannot
    be bound to.
    """
    async with store.write() as session:
        return await issue_in(session, store, person, new, by=by, made_with=made_with)


async def issue_in(  # noqa: PLR0913 as `issue`, in a transaction
    session: AsyncSession,
    store: Store,
    person: str,
    new: NewToken,
    *,
    by: str,
    made_with: str | None = None,
) -> Issued:
    """Make a token in this transaction; as `issue`."""
    plain = PREFIX + secrets.token_urlsafe(32)
    owner = await people.get(session, person)
    now = await store.now(session)
    row = TokenRow(
        id=new_id("token"),
        person=owner.id,
        name=new.name,
        hash=_hash(plain),
        scopes=list(new.scopes),
        tenants=await _tenants(session, owner, new),
        parent=made_with,
        created_at=now,
        ends_at=now + new.ends_in if new.ends_in else None,
    )
    if made_with is not None:
        await _refuse_wider(session, row)
    session.add(row)
    audit.record(session, _entry("token.created", row, by), at=now)
    return Issued(plain, row)


async def create(
    store: Store,
    person: str,
    *,
    name: str,
    by: str,
    tenants: tuple[str, ...] = (),
) -> str:
    """Return a new token that does all that this person may."""
    new = NewToken(name=name, tenants=tenants)
    return (await issue(store, person, new, by=by)).plain


async def find(store: Store, plain: str) -> tuple[PersonRow, TokenRow] | None:
    """Return whose token this is, or None where it opens nothing (any more)."""
    if not plain.startswith(PREFIX):
        return None
    query = select(TokenRow).where(col(TokenRow.hash) == _hash(plain))
    async with store.read() as session:
        row = (await session.execute(query)).scalar_one_or_none()
        now = await store.now(session)
        person = await _owner(session, row, now=now)
    if row is None or person is None:
        return None
    if not await forged.are_ours(store, row, person):
        return None
    if row.used_at is None or now - row.used_at > USED_EVERY:
        await _use(store, row.id, now=now)
    return person, row


async def owners(store: Store, ids: Collection[str]) -> dict[str, PersonRow]:
    """Return whose tokens have these ids, without those that open nothing any more."""
    query = (
        select(TokenRow, PersonRow)
        .join(PersonRow, col(TokenRow.person) == col(PersonRow.id))
        .where(col(TokenRow.id).in_(ids))
    )
    async with store.read() as session:
        now = await store.now(session)
        # As long as these are held, the session has each person, and asks nothing more.
        both = (await session.execute(query)).all()
        found = {row.id: await _owner(session, row, now=now) for row, _ in both}
    return {
        row.id: person
        for row, _ in both
        if (person := found[row.id]) is not None
        and await forged.are_ours(store, row, person)
    }


async def revoke(
    store: Store, token: str, *, by: str, person: str | None = None
) -> TokenRow:
    """Close a token and all that were made with it; return it.

    Raises `NotFound`, also where it is not `person`'s.
    """
    async with store.write() as session:
        row = await session.get(TokenRow, token, with_for_update=True)
        if row is None or person not in (None, row.person):
            raise NotFound(kind="token", name=token)
        await _close(session, [row], by=by, at=await store.now(session))
        return row


async def revoke_all(
    session: AsyncSession, person: str, *, by: str, at: datetime
) -> None:
    """Close a person's tokens and all that were made with them, whoever has those."""
    query = select(TokenRow).where(col(TokenRow.person) == person)
    rows = list((await session.execute(query.with_for_update())).scalars())
    await _close(session, rows, by=by, at=at)


async def listing(
    session: AsyncSession,
    person: str,
    *,
    limit: int | None = None,
    before: str | None = None,
) -> list[TokenRow]:
    """Return a person's tokens, newest first; `before` is the last id of a page."""
    query = (
        select(TokenRow)
        .where(col(TokenRow.person) == person)
        .order_by(col(TokenRow.id).desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(col(TokenRow.id) < before)
    return list((await session.execute(query)).scalars())


async def _owner(
    session: AsyncSession, row: TokenRow | None, *, now: datetime
) -> PersonRow | None:
    if row is None or row.revoked_at is not None:
        return None
    if row.ends_at is not None and row.ends_at <= now:
        return None
    person = await session.get(PersonRow, row.person)
    return person if person is not None and person.disabled_at is None else None


async def _tenants(session: AsyncSession, owner: PersonRow, new: NewToken) -> list[str]:
    """Return what a service's token is bound to: at least one tenant."""
    if owner.kind != "service":
        if new.tenants:
            raise InvalidValue(
                f"tenants: {owner.name} is a person, whose tokens act within their own "
                "tenant; only a service's are bound to tenants"
            )
        return []
    known = await tenants.declared(session)
    own = [owner.tenant] if owner.tenant is not None else known
    wanted = list(dict.fromkeys(new.tenants)) or own
    if not new.tenants and len(wanted) > 1:
        raise InvalidValue(
            f"tenants: say which this service starts runs for (--tenant, may be "
            f"repeated); declared: {', '.join(known)}"
        )
    for name in wanted:
        await tenants.check(session, name, sees_all=owner.tenant is None)
        if name not in own:
            raise InvalidValue(
                f"tenants: {owner.name} belongs to the tenant {owner.tenant!r}, and "
                f"starts nothing for {name!r}"
            )
    return wanted


async def _refuse_wider(session: AsyncSession, row: TokenRow) -> None:
    # Locked: whoever revokes it now also finds the new one, or comes before it.
    parent = await session.get(
        TokenRow, row.parent, with_for_update=True, populate_existing=True
    )
    if parent is None or parent.revoked_at is not None:
        raise NotFound(kind="token", name=str(row.parent))
    if parent.person != row.person:
        # Whoever manages a service gives it what the service may do.
        return
    more = beyond(row.scopes, parent.scopes)
    if more:
        raise WiderThanItsToken(
            f"The token that asks may not do {', '.join(sorted(more))}, so it makes no "
            "token that does; sign in, or use one with these scopes."
        )
    if parent.ends_at is not None and (
        row.ends_at is None or row.ends_at > parent.ends_at
    ):
        raise WiderThanItsToken(
            f"The token that asks ends at {parent.ends_at:%Y-%m-%d %H:%M} UTC; one made "
            "with it cannot live longer. Ask for fewer days."
        )


def beyond(wanted: Collection[str], given: Collection[str]) -> set[str]:
    """Return which of the wanted scopes are not among the given."""
    return set() if EVERYTHING in given else set(wanted) - set(given)


async def _close(
    session: AsyncSession, rows: list[TokenRow], *, by: str, at: datetime
) -> None:
    for one in [*rows, *await _made_with(session, {row.id for row in rows})]:
        if one.revoked_at is None:
            one.revoked_at = at
            audit.record(session, _entry("token.revoked", one, by), at=at)


async def _made_with(session: AsyncSession, tokens: set[str]) -> list[TokenRow]:
    """Return every token made with these, and with those, and so on."""
    found: list[TokenRow] = []
    while tokens:
        query = select(TokenRow).where(col(TokenRow.parent).in_(tokens))
        made = list((await session.execute(query.with_for_update())).scalars())
        found += made
        tokens = {one.id for one in made}
    return found


async def _use(store: Store, token: str, *, now: datetime) -> None:
    # Whoever holds the database back must not hold a kill switch back with this.
    with suppress(StoreUnavailable):
        async with store.write(wait_s=USED_WAIT_S) as session:
            row = await session.get(TokenRow, token)
            if row is not None:
                row.used_at = now


def _hash(plain: str) -> str:
    return hashlib.sha256(plain.encode()).hexdigest()


def _entry(kind: str, row: TokenRow, by: str) -> audit.Entry:
    return audit.Entry(
        actor=by,
        kind=kind,
        subject=row.id,
        payload={
            "person": row.person,
            "name": row.name,
            "scopes": [*row.scopes],
            "tenants": [*row.tenants],
            "ends_at": row.ends_at.isoformat() if row.ends_at else None,
            "made_with": row.parent,
        },
    )
