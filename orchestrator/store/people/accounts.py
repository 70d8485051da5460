"""People and services: who may sign in, and in which role."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from sqlalchemy.orm import load_only
from sqlmodel import col, delete, select

from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.ids import new_id
from keyturn.orchestrator.rules.notice import Origin
from keyturn.orchestrator.rules.policy.rules import APPROVER_RANK, Role
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db import row_count
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.roles import ACCOUNT
from keyturn.orchestrator.store.db.row_count import Total
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.people import revocation
from keyturn.orchestrator.store.people.errors import EmailTaken, PasswordChanged
from keyturn.orchestrator.store.tables import PersonRow, SessionRow

Name = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")]
Label = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,60}$")]

# Who decides: approvers, and those who confirm another person's loosening.
DECIDERS = frozenset({*APPROVER_RANK, "operator"})
# How long a new approver sees how it is done, and does not decide.
NEW_FOR = timedelta(days=1)


class NewPerson(BaseModel):
    """An account to open; `tenant` None sees all tenants. A service decides nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    email: str = Field(pattern=r"^[^@\s\x00]{1,64}@[^@\s\x00]{1,190}$")
    role: Role
    kind: Literal["person", "service"] = "person"
    tenant: str | None = Field(default=None, min_length=1, max_length=200)
    teams: tuple[Label, ...] = Field(default=(), max_length=50)
    languages: tuple[Label, ...] = Field(default=(), max_length=50)

    @property
    def decides(self) -> bool:
        """Whether it could decide, confirm, set switches or manage people."""
        return self.kind == "person" and self.role in DECIDERS


class Profile(BaseModel):
    """Facts about a person that give no authority; None leaves a fact as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name | None = None
    teams: tuple[Label, ...] | None = Field(default=None, max_length=50)
    languages: tuple[Label, ...] | None = Field(default=None, max_length=50)


async def add(
    store: Store, new: NewPerson, *, password_hash: str | None, by: str
) -> PersonRow:
    """Open an account and return it; raises `EmailTaken`.

    For people with direct database access; people of the web ask through
    `requests.to_invite`. A new approver decides a day later, except for the first one
    of all.
    """
    async with store.write() as session:
        return await insert(session, new, password_hash=password_hash, by=by)


async def insert(
    session: Tx, new: NewPerson, *, password_hash: str | None, by: str
) -> PersonRow:
    """Open an account in this transaction; raises `EmailTaken`, then adds nothing."""
    await check_address(session, new.email)
    now = await session.read_clock()
    row = PersonRow(
        id=new_id("person"),
        name=new.name,
        email=_normal(new.email),
        kind=new.kind,
        role=new.role,
        tenant=new.tenant,
        teams=list(new.teams),
        languages=list(new.languages),
        password_hash=password_hash,
        approves_from=await _approves_from(session, new),
        created_at=now,
    )
    session.add(row)
    about: dict[str, JsonValue] = {"role": new.role, "kind_of_account": new.kind}
    record(session, "person.added", row, by=by, **about)
    return row


async def check_address(session: Tx, address: str) -> None:
    """Raise `EmailTaken`, or reserve the address until the commit."""
    email = _normal(address)
    await session.take_turn(f"address {email}")
    if await by_email(session, email) is not None:
        raise EmailTaken(
            f"There already is an account with the address {email}; use another "
            "address, or give that account a new password."
        )


async def waive_first_day(store: Store, person: str, *, by: str) -> None:
    """Let a person decide at once: for demo and test people, never over HTTP."""
    async with store.write() as session:
        row = await get(session, person)
        await session.refresh(row, with_for_update=True)
        await session.read_clock()
        await waive(session, row, by=by)


async def waive(session: Tx, row: PersonRow, *, by: str) -> None:
    """Let a person decide at once, in this transaction."""
    if row.approves_from is None:
        return
    row.approves_from = None
    record(session, "person.first_day_waived", row, by=by)


async def set_password(  # noqa: PLR0913 whose, by whom, and what must be as it was
    store: Store,
    person: str,
    *,
    password_hash: str,
    by: str,
    keep: str = "",
    instead_of: str | None = None,
    origin: Origin | None = None,
) -> None:
    """Set a password; end all earlier sessions and tokens except the session `keep`.

    Raises `PasswordChanged` if the present password is not `instead_of`.
    """
    async with store.write() as session:
        row = await get(session, person)
        await session.refresh(row, with_for_update=True)
        if instead_of is not None and row.password_hash != instead_of:
            raise PasswordChanged(
                f"The password of {row.name} was changed in the meantime; no password was set."
            )
        row.password_hash = password_hash
        await session.execute(
            delete(SessionRow).where(
                col(SessionRow.person) == person, col(SessionRow.id) != keep
            )
        )
        await session.read_clock()
        await revocation.all_of(session, person, by=by, because="password changed")
        from_where = (origin or Origin()).model_dump()
        record(session, "person.password_set", row, by=by, **from_where)


async def describe(
    store: Store, person: str, profile: Profile, *, by: str, tenant: str | None = None
) -> PersonRow:
    """Change facts about a person that give no authority; raises `NotFound`."""
    async with store.write() as session:
        row = await get(session, person, tenant=tenant)
        # The whole row is vouched for: nobody changes another part meanwhile.
        await session.refresh(row, with_for_update=True)
        changed = {
            name: value
            for name, value in profile.model_dump(mode="json").items()
            if value is not None and value != getattr(row, name)
        }
        for name, value in changed.items():
            setattr(row, name, value)
        if changed:
            await session.read_clock()
            record(session, "person.described", row, by=by, **changed)
        return row


async def get(session: Tx, person: str, *, tenant: str | None = None) -> PersonRow:
    """Return the account, or raise `NotFound`, also for another tenant's."""
    row = await session.get(PersonRow, person)
    if row is None or (tenant is not None and row.tenant != tenant):
        raise NotFound(kind="person", name=person)
    return row


async def account(session: Tx, person: str) -> PersonRow | None:
    """Return what an effect worker may read of an account: no password's hash."""
    named = [getattr(PersonRow, name) for name in ACCOUNT]
    return await session.get(PersonRow, person, options=[load_only(*named)])


async def by_email(session: Tx, email: str) -> PersonRow | None:
    """Return the account with this address, or None."""
    query = select(PersonRow).where(col(PersonRow.email) == _normal(email))
    return (await session.execute(query)).scalar_one_or_none()


async def listing(
    session: Tx,
    *,
    tenant: str | None = None,
    limit: int = 1_000,
    after: str | None = None,
) -> list[PersonRow]:
    """Return accounts by id, oldest first; with `tenant`, only that tenant's."""
    query = select(PersonRow).order_by(col(PersonRow.id)).limit(limit)
    if tenant is not None:
        query = query.where(col(PersonRow.tenant) == tenant)
    if after is not None:
        query = query.where(col(PersonRow.id) > after)
    return list((await session.execute(query)).scalars())


async def total(session: Tx, *, tenant: str | None) -> Total:
    """Return how many accounts there are; with `tenant`, only that tenant's."""
    query = select(PersonRow.id).order_by(col(PersonRow.id))
    if tenant is not None:
        query = query.where(col(PersonRow.tenant) == tenant)
    return await row_count.total(session, query)


async def names(session: Tx, ids: set[str]) -> dict[str, str]:
    """Return the names of these people, without unknown ids."""
    query = select(PersonRow.id, PersonRow.name).where(col(PersonRow.id).in_(ids))
    rows = (await session.execute(query)).all()
    return {row.id: row.name for row in rows}


async def _approves_from(session: Tx, new: NewPerson) -> datetime | None:
    if not new.decides:
        return None
    query = select(PersonRow.id).where(
        col(PersonRow.kind) == "person",
        col(PersonRow.role).in_(DECIDERS),
        col(PersonRow.disabled_at).is_(None),
    )
    is_first = (await session.execute(query.limit(1))).first() is None
    return None if is_first else session.now + NEW_FOR


async def record_failed_sign_in(
    store: Store,
    row: PersonRow | None,
    *,
    address: str,
    how: str = "password",
    why: str | None = None,
) -> None:
    """Record in the audit log that a sign-in failed, and from where.

    The typed text is not recorded: people type passwords into the wrong field.
    """
    if why is None and row is None:
        why = "unknown"
    elif why is None:
        why = "closed" if row and row.disabled_at else "wrong password"
    async with store.write() as session:
        entry = log.Entry(
            actor="system",
            kind="sign_in.failed",
            tenant=row.tenant if row else None,
            subject=row.id if row else None,
            payload={"why": why, "address": address, "how": how},
        )
        log.record(session, entry, at=await session.read_clock())


def record(
    session: Tx,
    kind: str,
    row: PersonRow,
    *,
    by: str,
    **payload: JsonValue,
) -> None:
    """Record an event of an account in the audit log."""
    entry = log.Entry(
        actor=by,
        kind=kind,
        tenant=row.tenant,
        subject=row.id,
        payload={"name": row.name, **payload},
    )
    log.record(session, entry, at=session.now)


def _normal(email: str) -> str:
    return email.strip().lower()
