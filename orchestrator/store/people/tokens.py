"""API tokens, identified by their hash; each acts as its owner, within its scopes."""

import hashlib
import secrets
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import col, select

from keyturn.orchestrator.rules.errors import (
    InvalidValue,
    NotFound,
    StoreUnavailable,
)
from keyturn.orchestrator.rules.ids import new_id
from keyturn.orchestrator.rules.notice import Origin
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.integrity import forgery
from keyturn.orchestrator.store.people import accounts, revocation, token_lifetime
from keyturn.orchestrator.store.people.errors import (
    AccountChanged,
    OpensNothing,
    WiderThanItsToken,
)
from keyturn.orchestrator.store.people.sessions import Method
from keyturn.orchestrator.store.people.token_lifetime import (
    EVERYTHING,
    MOST_DAYS_DECIDING,
)
from keyturn.orchestrator.store.tables import PersonRow, SessionRow, TokenRow
from keyturn.orchestrator.store.tenants import tenants as tenants_tenants

PREFIX = "kt_"
# The last use is written again when it is this old: so reading rarely writes.
USED_EVERY = timedelta(minutes=1)
# How long it waits for the database; then it is left to the next request.
USED_WAIT_S = 0.2
UNKNOWN = (
    "This token is unknown. Send `Authorization: Bearer kt_…` with a valid token of "
    "yours."
)
ANOTHER = "Make another one at /settings; for a service, ask an admin."


class NewToken(BaseModel):
    """A token to make; `scopes` are actions of the permission table; none: no rights.

    Without `ends_in` a token that decides ends in 7 days, another one never. `tenants`
    are those that a service's token starts runs for; none: its account's, or the only
    declared one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    scopes: tuple[str, ...] = (EVERYTHING,)
    tenants: tuple[str, ...] = ()
    ends_in: timedelta | None = None
    origin: Origin = Origin()


@dataclass(frozen=True)
class Issued:
    """A new token; `plain` is shown once and not stored."""

    plain: str
    row: TokenRow


@dataclass(frozen=True)
class Proven:
    """A session whose person has just proven, by `method`, who they are.

    `password_hash` is the account's as it was then; both must still be valid when the
    requested action is done.
    """

    person: str
    session: str
    password_hash: str | None
    method: Method


@dataclass(frozen=True)
class Maker:
    """The person who makes a token, and what they make it with.

    `made_with` is the token that requests it, if one does: the new one is revoked with
    it, decides nothing, does no more and lives no longer. `proven` is the session that
    requests it.
    """

    by: str
    made_with: str | None = None
    proven: Proven | None = None


async def issue(store: Store, person: str, new: NewToken, maker: Maker) -> Issued:
    """Make a token of this person's.

    Raises `NotFound`, `WiderThanItsToken`, or `InvalidValue` for tenants that a service
    cannot be bound to and for a token that would decide for longer than 7 days; and
    `AccountChanged` if the maker's session has ended since, or its person has another
    password.
    """
    async with store.write() as session:
        return await issue_in(session, person, new, maker)


async def issue_in(session: Tx, person: str, new: NewToken, maker: Maker) -> Issued:
    """Make a token in this transaction; otherwise like `issue`."""
    proven = maker.proven
    if proven is not None:
        await _refuse_changed(session, proven)
    plain = PREFIX + secrets.token_urlsafe(32)
    owner = await accounts.get(session, person)
    now = await session.read_clock()
    row = TokenRow(
        id=new_id("token"),
        person=owner.id,
        name=new.name,
        hash=_hash(plain),
        scopes=list(new.scopes),
        tenants=await _tenants(session, owner, new),
        parent=maker.made_with,
        created_at=now,
        ends_at=_end(new, owner, now=now),
    )
    if maker.made_with is not None:
        await _refuse_wider(session, row, owner)
    session.add(row)
    more = new.origin.model_dump()
    if proven is not None:
        more |= {"proof": proven.method}
    revocation.record(session, "token.created", row, by=maker.by, **more)
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
    return (await issue(store, person, new, Maker(by))).plain


async def find(store: Store, plain: str) -> tuple[PersonRow, TokenRow] | None:
    """Return the person of this token, or None if it opens nothing (any more)."""
    try:
        return await use(store, plain)
    except OpensNothing:
        return None


async def use(store: Store, plain: str) -> tuple[PersonRow, TokenRow]:
    """Return the person of this token, or raise `OpensNothing`, which says why."""
    if not plain.startswith(PREFIX):
        raise OpensNothing(UNKNOWN)
    query = select(TokenRow).where(col(TokenRow.hash) == _hash(plain))
    async with store.read() as session:
        row = (await session.execute(query)).scalar_one_or_none()
        now = await session.read_clock()
        person = await _owner(session, row)
        if row is None or person is None:
            raise OpensNothing(await _why_closed(session, row))
    if not await forgery.are_ours(store, row, person):
        raise OpensNothing(UNKNOWN)
    if row.used_at is None or now - row.used_at > USED_EVERY:
        await _use(store, row.id, now=now)
    return person, row


async def owners(store: Store, ids: Collection[str]) -> dict[str, PersonRow]:
    """Return the owners of the tokens with these ids, except those opening nothing."""
    query = (
        select(TokenRow, PersonRow)
        .join(PersonRow, col(TokenRow.person) == col(PersonRow.id))
        .where(col(TokenRow.id).in_(ids))
    )
    async with store.read() as session:
        await session.read_clock()
        # As long as these are held, the session has each person, and queries no more.
        both = (await session.execute(query)).all()
        found = {row.id: await _owner(session, row) for row, _ in both}
    return {
        row.id: person
        for row, _ in both
        if (person := found[row.id]) is not None
        and await forgery.are_ours(store, row, person)
    }


async def revoke(
    store: Store, token: str, *, by: str, person: str | None = None
) -> TokenRow:
    """Close a token and all that were made with it; return it.

    Raises `NotFound`, also if it is not `person`'s.
    """
    async with store.write() as session:
        row = await session.get(TokenRow, token, with_for_update=True)
        if row is None or person not in (None, row.person):
            raise NotFound(kind="token", name=token)
        rows = await revocation.with_made(session, row)
        await session.read_clock()
        revocation.close(session, rows, by=by, because="revoked by hand")
        return row


async def listing(
    session: Tx,
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


async def _owner(session: Tx, row: TokenRow | None) -> PersonRow | None:
    person = await session.get(PersonRow, row.person) if row is not None else None
    if row is None or person is None or person.disabled_at is not None:
        return None
    return (
        person
        if token_lifetime.is_live(row, kind=person.kind, now=session.now)
        else None
    )


async def _why_closed(session: Tx, row: TokenRow | None) -> str:
    """Return the message for the sender of a token that opens nothing."""
    person = await session.get(PersonRow, row.person) if row is not None else None
    if row is None or person is None:
        return UNKNOWN
    if row.revoked_at is not None:
        return (
            f"The token {row.name!r} was revoked on {_minute(row.revoked_at)}: by hand, "
            "by a change of its owner's password, by a sign-out everywhere, or with the "
            f"token that made it. {ANOTHER}"
        )
    end = token_lifetime.ends_at(row, kind=person.kind)
    if person.disabled_at is not None or end is None:
        return f"The account that the token {row.name!r} acts as is closed."
    if end == row.ends_at:
        return f"The token {row.name!r} expired on {_minute(end)}. {ANOTHER}"
    scopes = ", ".join(token_lifetime.deciding(row.scopes, kind=person.kind))
    return (
        f"The token {row.name!r} expired on {_minute(end)}, {MOST_DAYS_DECIDING} days after "
        f"it was made: a token that may do {scopes} lives no longer. {ANOTHER}"
    )


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _end(new: NewToken, owner: PersonRow, *, now: datetime) -> datetime | None:
    check_life(new, kind=owner.kind)
    decides = token_lifetime.deciding(new.scopes, kind=owner.kind)
    span = new.ends_in or (token_lifetime.LONGEST_DECIDING if decides else None)
    return now + span if span else None


def check_life(new: NewToken, *, kind: str) -> None:
    """Raise `InvalidValue` if a token would decide for longer than 7 days.

    `kind` is its owner's.
    """
    scopes = token_lifetime.deciding(new.scopes, kind=kind)
    if scopes and new.ends_in and new.ends_in > token_lifetime.LONGEST_DECIDING:
        raise InvalidValue(
            f"days: a token that may do {', '.join(scopes)} lives {MOST_DAYS_DECIDING} "
            f"days at most; ask for {MOST_DAYS_DECIDING} days or fewer, or leave "
            f"{'it' if len(scopes) == 1 else 'them'} out"
        )


async def _tenants(session: Tx, owner: PersonRow, new: NewToken) -> list[str]:
    """Return the tenants that a service's token is bound to: at least one."""
    if owner.kind != "service":
        if new.tenants:
            raise InvalidValue(
                f"tenants: {owner.name} is a person, whose tokens act within their own "
                "tenant; leave tenants out, they are only for services"
            )
        return []
    known = await tenants_tenants.declared(session)
    own = [owner.tenant] if owner.tenant is not None else known
    wanted = list(dict.fromkeys(new.tenants)) or own
    if not new.tenants and len(wanted) > 1:
        raise InvalidValue(
            f"tenants: name the tenants for which this service starts runs (--tenant, may be "
            f"repeated); declared: {', '.join(known)}"
        )
    for name in wanted:
        await tenants_tenants.check(session, name, sees_all=owner.tenant is None)
        if name not in own:
            raise InvalidValue(
                f"tenants: {owner.name} belongs to the tenant {owner.tenant!r}, and "
                f"cannot start runs for {name!r}"
            )
    return wanted


async def _refuse_changed(session: Tx, proven: Proven) -> None:
    # Locked: a transaction that changes the password or ends the session finds the new
    # token, or comes before this.
    person = await session.get(
        PersonRow, proven.person, with_for_update={"read": True}, populate_existing=True
    )
    asking = await session.get(
        SessionRow, proven.session, with_for_update={"read": True}
    )
    is_same = person is not None and person.password_hash == proven.password_hash
    if person is None or person.disabled_at is not None or not is_same or not asking:
        raise AccountChanged(
            "Your account was changed or you were signed out in the meantime; no token was "
            "made. Sign in again."
        )


async def _refuse_wider(session: Tx, row: TokenRow, owner: PersonRow) -> None:
    decides = token_lifetime.deciding(row.scopes, kind=owner.kind)
    if decides:
        raise WiderThanItsToken(
            f"A token cannot make a token that may do {', '.join(decides)}: sign in and make "
            "it at /settings, where you give your password."
        )
    # Locked: a transaction that revokes it now also finds the new one, or comes before
    # it.
    parent = await session.get(
        TokenRow, row.parent, with_for_update=True, populate_existing=True
    )
    if parent is None or parent.revoked_at is not None:
        raise NotFound(kind="token", name=str(row.parent))
    more = beyond(row.scopes, parent.scopes)
    if more:
        raise WiderThanItsToken(
            f"Your token may not do {', '.join(sorted(more))}, so it cannot make a "
            "token that may; sign in, or use a token with these scopes."
        )
    asking = await accounts.get(session, parent.person)
    end = token_lifetime.ends_at(parent, kind=asking.kind)
    if end is not None and (row.ends_at is None or row.ends_at > end):
        raise WiderThanItsToken(
            f"Your token expires at {_minute(end)}; a token made with it cannot live "
            "longer. Ask for fewer days."
        )


def beyond(wanted: Collection[str], given: Collection[str]) -> set[str]:
    """Return the wanted scopes that are not among the given ones."""
    return set() if EVERYTHING in given else set(wanted) - set(given)


async def _use(store: Store, token: str, *, now: datetime) -> None:
    # A process that blocks the database must not hold back a kill switch with this.
    with suppress(StoreUnavailable):
        async with store.write(wait_s=USED_WAIT_S) as session:
            row = await session.get(TokenRow, token)
            if row is not None:
                row.used_at = now


def _hash(plain: str) -> str:
    return hashlib.sha256(plain.encode()).hexdigest()
