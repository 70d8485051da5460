"""Revocation of tokens: one, or all of a person's, with those made with them."""

from typing import Literal

from sqlmodel import col, select

from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.people import token_lifetime
from keyturn.orchestrator.store.tables import PersonRow, TokenRow

Because = Literal[
    "revoked by hand",
    "password changed",
    "password removed",
    "password reset",
    "signed out everywhere",
    "account closed",
]


async def all_of(session: Tx, person: str, *, by: str, because: Because) -> int:
    """Revoke a person's tokens and all that were made with them; return how many.

    Counts only those that still opened something. A token made with a person's token
    may be a service's; a service's other tokens stay.
    """
    rows = await _of(session, person, is_locked=True)
    live = [one for one in rows if await _is_live(session, one)]
    close(session, rows, by=by, because=because)
    return len(live)


async def live(session: Tx, person: str) -> list[TokenRow]:
    """Return the tokens that `all_of` would end and that still open something."""
    rows = await _of(session, person, is_locked=False)
    return [one for one in rows if await _is_live(session, one)]


async def with_made(session: Tx, row: TokenRow) -> list[TokenRow]:
    """Return a token and every token that was made with it, locked."""
    return [row, *await _made_with(session, {row.id}, is_locked=True)]


def close(session: Tx, rows: list[TokenRow], *, by: str, because: Because) -> None:
    """Revoke these tokens, which are locked, and record each with the reason."""
    for one in rows:
        if one.revoked_at is None:
            one.revoked_at = session.now
            record(session, "token.revoked", one, by=by, because=because)


def record(
    session: Tx,
    kind: str,
    row: TokenRow,
    *,
    by: str,
    **more: str,
) -> None:
    """Record an event of a token in the audit log."""
    entry = log.Entry(
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
            **more,
        },
    )
    log.record(session, entry, at=session.now)


async def _of(session: Tx, person: str, *, is_locked: bool) -> list[TokenRow]:
    query = select(TokenRow).where(col(TokenRow.person) == person)
    query = query.order_by(col(TokenRow.id))
    if is_locked:
        query = query.with_for_update()
    own = list((await session.execute(query)).scalars())
    made = await _made_with(session, {one.id for one in own}, is_locked=is_locked)
    return list({one.id: one for one in [*own, *made]}.values())


async def _made_with(
    session: Tx, tokens: set[str], *, is_locked: bool
) -> list[TokenRow]:
    """Return every token made with these, directly or indirectly."""
    found: list[TokenRow] = []
    while tokens:
        query = select(TokenRow).where(col(TokenRow.parent).in_(tokens))
        if is_locked:
            query = query.with_for_update()
        made = list((await session.execute(query)).scalars())
        found += made
        tokens = {one.id for one in made}
    return found


async def _is_live(session: Tx, row: TokenRow) -> bool:
    owner = await session.get(PersonRow, row.person)
    kind = owner.kind if owner is not None else "person"
    return token_lifetime.is_live(row, kind=kind, now=session.now)
