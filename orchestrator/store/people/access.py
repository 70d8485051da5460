"""An account's rights and visible tenant: given, changed and taken away.

All changes go through the one function `grant`: taking away is one person's act, giving
more takes two people (P11).
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import col, delete, select

from keyturn.orchestrator.rules.errors import InvalidValue, NotFound
from keyturn.orchestrator.rules.policy.rules import APPROVER_RANK, Role
from keyturn.orchestrator.store.approvals import reassignment
from keyturn.orchestrator.store.db import row_codes
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.people import accounts, revocation
from keyturn.orchestrator.store.people.accounts import DECIDERS, NEW_FOR
from keyturn.orchestrator.store.people.errors import LastAdmin, OwnAccess, WouldWiden
from keyturn.orchestrator.store.tables import PersonRow, SessionRow

# Roles that have and approve nothing beyond what the named role has and approves.
WITHIN: Mapping[str, frozenset[str]] = {
    "agent": frozenset({"developer"}),
    "lead": frozenset({"agent", "developer"}),
    "operator": frozenset({"developer", "auditor"}),
    "developer": frozenset(),
    "auditor": frozenset(),
    "admin": frozenset({"agent", "lead", "operator", "developer", "auditor"}),
}


class Access(BaseModel):
    """An account's role and tenant (None: every tenant's), and whether it is open."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role
    tenant: str | None = Field(default=None, min_length=1, max_length=200)
    is_open: bool = True


class Change(BaseModel):
    """A change of an account's access; a field that is not set stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role | None = None
    tenant: str | None = Field(default=None, min_length=1, max_length=200)
    is_open: bool | None = None

    def of(self, row: PersonRow) -> Access:
        """Return the whole access that an account would have."""
        set_ = {name: getattr(self, name) for name in self.model_fields_set}
        return of(row).model_copy(update=set_)


def of(row: PersonRow) -> Access:
    """Return an account's present access."""
    return Access.model_validate(
        {"role": row.role, "tenant": row.tenant, "is_open": row.disabled_at is None}
    )


def is_more(before: Access, wanted: Access) -> bool:
    """Tell whether an account would gain anything."""
    role = wanted.role not in {before.role, *WITHIN[before.role]}
    tenant = before.tenant is not None and wanted.tenant != before.tenant
    return role or tenant or (wanted.is_open and not before.is_open)


async def change(
    store: Store,
    person: str,
    change: Change,
    *,
    by: str,
    managed: str | None = None,
) -> PersonRow:
    """Take away some of an account's rights; `by` manages the people of `managed`.

    Raises `NotFound` (also for another tenant's people), `OwnAccess`, `LastAdmin`, or
    `WouldWiden`: more is requested through `requests.to_grant`.
    """
    async with store.write() as session:
        row = await lock(session, person, managed=managed)
        wanted = change.of(row)
        await session.read_clock()
        await grant(session, row, wanted, by=by)
    await hand_over(store, row, by=by)
    return row


async def grant(
    session: Tx,
    row: PersonRow,
    wanted: Access,
    *,
    by: str,
    proposed_by: str | None = None,
) -> None:
    """Give an account this access, and record it; every change of it goes through here.

    The row is locked (`lock`). More than it had takes two people: `by` and another one
    who proposed it, else this raises `WouldWiden`. `accounts.add` opens an account with
    a role: for people of the web through `requests.to_invite`.
    """
    before = of(row)
    if wanted == before:
        return
    if row.id == by:
        raise OwnAccess(
            "You cannot change your own role or tenant, or close your own account. Ask "
            "another admin."
        )
    if is_more(before, wanted):
        _check_two(row, by, proposed_by)
    await _keep_an_admin(session, row, wanted)
    row.role, row.tenant = wanted.role, wanted.tenant
    if _is_new_to(before, wanted):
        row.approves_from = session.now + NEW_FOR
    payload = {"before": before.model_dump(), "after": wanted.model_dump()}
    if wanted.is_open == before.is_open:
        accounts.record(session, "person.access_changed", row, by=by, **payload)
    elif wanted.is_open:
        row.disabled_at = None
        accounts.record(session, "person.enabled", row, by=by, **payload)
    else:
        row.disabled_at = session.now
        await end_sessions(session, row.id)
        await revocation.all_of(session, row.id, by=by, because="account closed")
        accounts.record(session, "person.disabled", row, by=by, **payload)


async def disable(
    store: Store, person: str, *, by: str, managed: str | None = None
) -> PersonRow:
    """Close an account: its sessions end and its tokens no longer open anything."""
    return await change(store, person, Change(is_open=False), by=by, managed=managed)


async def remove_password(
    store: Store, person: str, *, by: str, managed: str | None = None
) -> PersonRow:
    """Remove another person's password; their sessions and tokens end.

    A person who proves the address through OIDC can sign in then, and decides a day
    later.
    """
    async with store.write() as session:
        row = await lock(session, person, managed=managed)
        check_password_of(row, by=by)
        row.password_hash = None
        await session.read_clock()
        await _begin_anew(session, row, "password removed", by=by)
        return row


async def reset_password(
    session: Tx, row: PersonRow, *, password_hash: str, by: str, proposed_by: str | None
) -> None:
    """Give a person a password that another person chose; sessions and tokens end.

    The person who chose it could sign in as them: it takes two people, and they decide
    nothing for a day, so that the person, or a reader of the log, has time to object.
    """
    check_password_of(row, by=by)
    _check_two(row, by, proposed_by)
    row.password_hash = password_hash
    await _begin_anew(session, row, "password reset", by=by)


def check_password_of(row: PersonRow, *, by: str) -> None:
    """Refuse a service, which has no password, and one's own password."""
    if row.kind != "person":
        raise InvalidValue(f"{row.name} is a service: it has tokens and no password")
    if row.id == by:
        raise OwnAccess("Set your own password on your settings page.")


async def lock(session: Tx, person: str, *, managed: str | None) -> PersonRow:
    """Return the locked account of a person of this tenant, or raise `NotFound`.

    Every admin's row is locked before it, in order: two admins who close each other's
    account do it one after the other, and the second is refused.
    """
    await lock_admins(session)
    row = await session.get(
        PersonRow, person, with_for_update=True, populate_existing=True
    )
    if row is None or managed not in (None, row.tenant):
        raise NotFound(kind="person", name=person)
    return row


async def lock_admins(session: Tx) -> Sequence[PersonRow]:
    """Lock the open accounts of all admins, by id, before any other account."""
    return (await session.execute(_admins().with_for_update())).scalars().all()


async def end_sessions(session: Tx, person: str) -> None:
    """End every browser session of a person."""
    await session.execute(delete(SessionRow).where(col(SessionRow.person) == person))


async def hand_over(store: Store, row: PersonRow, *, by: str) -> None:
    """Give what a person holds and may no longer decide to others.

    If this process dies before it, the sweep does it.
    """
    await reassignment.release_all(store, row.id, by=by)


async def _begin_anew(
    session: Tx,
    row: PersonRow,
    because: Literal["password removed", "password reset"],
    *,
    by: str,
) -> None:
    """End everything that opens an account, and bar it from deciding for a day."""
    row.approves_from = session.now + NEW_FOR
    await end_sessions(session, row.id)
    await revocation.all_of(session, row.id, by=by, because=because)
    kind = f"person.{because.replace(' ', '_')}"
    accounts.record(session, kind, row, by=by)


def _check_two(row: PersonRow, by: str, proposed_by: str | None) -> None:
    if proposed_by is None or proposed_by in (by, row.id):
        raise WouldWiden(
            f"This gives {row.name} more access, which takes two people: one "
            "proposes it, and another confirms it."
        )


async def _keep_an_admin(session: Tx, row: PersonRow, wanted: Access) -> None:
    """Raise `LastAdmin` if nobody else could reverse the pending change."""
    if row.disabled_at is not None or row.role != "admin" or row.kind != "person":
        return
    if wanted.is_open and wanted.role == "admin" and wanted.tenant == row.tenant:
        return
    if not row_codes.is_genuine(session, row):
        # It opens nothing anyway.
        return
    found = (await session.execute(_admins())).scalars()
    others = [one for one in found if one.id != row.id]
    if not any(
        one.tenant in (None, row.tenant) and row_codes.is_genuine(session, one)
        for one in others
    ):
        raise LastAdmin(
            f"{row.name} is the last admin of "
            f"{f'the tenant {row.tenant!r}' if row.tenant else 'all tenants'}; make "
            "somebody else an admin first."
        )


def _is_new_to(before: Access, wanted: Access) -> bool:
    """Tell whether a person will decide what they could not decide before."""
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
