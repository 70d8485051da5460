"""What an account may do and whose data it sees: given, changed and taken away.

`grant` is the one function through which all of it goes.
"""

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, delete, select, update

from orchestrator.errors import InvalidValue, KeyturnError, NotFound
from orchestrator.policy import APPROVER_RANK, Role
from orchestrator.store import people, reassigning
from orchestrator.store.engine import Store
from orchestrator.store.people import DECIDERS, NEW_FOR
from orchestrator.store.tables import PersonRow, SessionRow, TokenRow


class Access(BaseModel):
    """An account's role and tenant (None: every tenant's), and whether it is open."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role
    tenant: str | None = Field(default=None, min_length=1, max_length=200)
    is_open: bool = True


class Change(BaseModel):
    """What of an account's access is to be another; what was not set stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role | None = None
    tenant: str | None = Field(default=None, min_length=1, max_length=200)
    is_open: bool | None = None

    def of(self, row: PersonRow) -> Access:
        """Return the whole access that an account would have."""
        set_ = {name: getattr(self, name) for name in self.model_fields_set}
        return of(row).model_copy(update=set_)


class OwnAccess(KeyturnError):
    """Somebody would change what they themselves may do."""


class LastAdmin(KeyturnError):
    """Nobody would be left who manages these accounts."""


def of(row: PersonRow) -> Access:
    """Return what an account may do now."""
    return Access.model_validate(
        {"role": row.role, "tenant": row.tenant, "is_open": row.disabled_at is None}
    )


async def change(
    store: Store,
    person: str,
    change: Change,
    *,
    by: str,
    managed: str | None = None,
) -> PersonRow:
    """Change what somebody may do; `managed` is the tenant whose people `by` manages.

    Raises `NotFound` (also for another tenant's people), `OwnAccess` or `LastAdmin`.
    """
    async with store.write() as session:
        row = await lock(session, person, managed=managed)
        wanted = change.of(row)
        await grant(session, row, wanted, by=by, at=await store.now(session))
    await _hand_over(store, row, by=by)
    return row


async def grant(
    session: AsyncSession, row: PersonRow, wanted: Access, *, by: str, at: datetime
) -> None:
    """Give an account this access, and record it; every change of it comes through here.

    The seam for two people (P11): whoever asks for a second person's yes compares
    `of(row)` with `wanted` (a `Change` of that row) within a transaction that began
    with `lock`; nothing else writes a role, a tenant or the end of an account. What is
    more than before: a role with an action that the old one lacks, a higher rank among
    approvers, another tenant or every one, a closed account opened. Two more ways lead
    to authority: `people.add` opens an account with a role, and `reset_password` lets
    whoever chose the password in; neither approves anything for a day
    (`approves_from`).
    """
    before = of(row)
    if wanted == before:
        return
    if row.id == by:
        raise OwnAccess(
            "Nobody changes their own role or tenant, or closes their own account; ask "
            "another admin."
        )
    await _keep_an_admin(session, row, wanted)
    row.role, row.tenant = wanted.role, wanted.tenant
    if _is_new_to(before, wanted):
        row.approves_from = at + NEW_FOR
    payload = {"before": before.model_dump(), "after": wanted.model_dump()}
    if wanted.is_open == before.is_open:
        people.record(session, "person.access_changed", row, by=by, at=at, **payload)
    elif wanted.is_open:
        row.disabled_at = None
        people.record(session, "person.enabled", row, by=by, at=at, **payload)
    else:
        row.disabled_at = at
        await end_sessions(session, row.id)
        await _revoke_tokens(session, row.id, at=at)
        people.record(session, "person.disabled", row, by=by, at=at, **payload)


async def disable(
    store: Store, person: str, *, by: str, managed: str | None = None
) -> PersonRow:
    """Close an account: its sessions end and its tokens open nothing any more."""
    return await change(store, person, Change(is_open=False), by=by, managed=managed)


async def enable(
    store: Store, person: str, *, by: str, managed: str | None = None
) -> PersonRow:
    """Open a closed account again; its old tokens stay revoked."""
    return await change(store, person, Change(is_open=True), by=by, managed=managed)


async def reset_password(
    store: Store,
    person: str,
    *,
    password_hash: str | None,
    by: str,
    managed: str | None = None,
) -> PersonRow:
    """Set somebody else's password, or take it away (None); their sessions end.

    Whoever chose it could come in as them, so they decide nothing for a day: time for
    the person, or a reader of the log, to object.
    """
    async with store.write() as session:
        row = await lock(session, person, managed=managed)
        if row.kind != "person":
            raise InvalidValue(f"{row.name} is a service: it has tokens, no password")
        if row.id == by:
            raise OwnAccess("Set your own password on your settings page.")
        now = await store.now(session)
        row.password_hash = password_hash
        row.approves_from = now + NEW_FOR
        await end_sessions(session, person)
        kind = "password_reset" if password_hash else "password_removed"
        people.record(session, f"person.{kind}", row, by=by, at=now)
        return row


async def lock(session: AsyncSession, person: str, *, managed: str | None) -> PersonRow:
    """Return the account of this tenant's people, locked, or raise `NotFound`.

    Every admin's row is locked before it, in order: two admins who close each other's
    account do it one after the other, and the second is refused.
    """
    await session.execute(_admins().with_for_update())
    row = await session.get(
        PersonRow, person, with_for_update=True, populate_existing=True
    )
    if row is None or managed not in (None, row.tenant):
        raise NotFound(kind="person", name=person)
    return row


async def end_sessions(session: AsyncSession, person: str) -> None:
    """End whatever browser is signed in as somebody."""
    await session.execute(delete(SessionRow).where(col(SessionRow.person) == person))


async def _hand_over(store: Store, row: PersonRow, *, by: str) -> None:
    """Give what a closed account had claimed or was assigned to others.

    Where this process dies before it, or somebody only lost a role, the sweep does it.
    """
    if row.disabled_at is not None:
        await reassigning.release_all(store, row.id, by=by)


async def _revoke_tokens(session: AsyncSession, person: str, *, at: datetime) -> None:
    await session.execute(
        update(TokenRow)
        .where(col(TokenRow.person) == person, col(TokenRow.revoked_at).is_(None))
        .values(revoked_at=at)
    )


async def _keep_an_admin(session: AsyncSession, row: PersonRow, wanted: Access) -> None:
    """Raise `LastAdmin` where nobody else could undo what is about to be done."""
    if row.disabled_at is not None or row.role != "admin" or row.kind != "person":
        return
    if wanted.is_open and wanted.role == "admin" and wanted.tenant == row.tenant:
        return
    found: Sequence[PersonRow] = (await session.execute(_admins())).scalars().all()
    if not any(one.id != row.id and one.tenant in (None, row.tenant) for one in found):
        raise LastAdmin(
            f"{row.name} is the last admin of "
            f"{f'the tenant {row.tenant!r}' if row.tenant else 'all tenants'}; make "
            "somebody else an admin first."
        )


def _is_new_to(before: Access, wanted: Access) -> bool:
    """Tell whether somebody will decide what they could not decide before."""
    rank, old = (APPROVER_RANK.get(one.role, 0) for one in (wanted, before))
    confirms = wanted.role == "operator" and before.role not in ("operator", "admin")
    has_more = wanted.tenant != before.tenant or not before.is_open
    return wanted.role in DECIDERS and (rank > old or confirms or has_more)


def _admins():  # noqa: ANN202 a select, whose type SQLModel builds from its columns
    return (
        select(PersonRow)
        .where(
            col(PersonRow.role) == "admin",
            col(PersonRow.kind) == "person",
            col(PersonRow.disabled_at).is_(None),
        )
        .order_by(col(PersonRow.id))
        .execution_options(populate_existing=True)
    )
