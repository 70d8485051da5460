"""Actions with direct database access and no second person: recorded, not prevented."""

from collections.abc import Sequence

from pydantic import JsonValue
from sqlmodel import col, select

from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.ids import new_id
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db import row_codes
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.incidents import incidents
from keyturn.orchestrator.store.incidents.incidents import NewIncident
from keyturn.orchestrator.store.people import accounts, tokens
from keyturn.orchestrator.store.people.accounts import DECIDERS, NewPerson
from keyturn.orchestrator.store.people.tokens import Issued, Maker, NewToken
from keyturn.orchestrator.store.switches import switches
from keyturn.orchestrator.store.tables import PersonRow, ProposalRow, TenantRow
from keyturn.orchestrator.store.tenants import tenants
from keyturn.orchestrator.store.tenants.tenants import NewTenant


async def lift(store: Store, switch: str, *, by: str, reason: str) -> list[str]:
    """Lift a switch without a second person; return the runs that were signalled.

    For when nobody else can be reached. It opens an incident, which another person has
    to read and close.
    """
    async with store.write() as session:
        signalled = await switches.lift(session, switch, by=by, reason=reason)
        detail: dict[str, JsonValue] = {"switch": switch, "by": by, "reason": reason}
        now = await session.read_clock()
        found = NewIncident(
            severity="critical",
            title=f"{by} lifted the switch {switch} alone",
            source=f"switch {switch} lifted alone {now.isoformat()}",
            detail=detail,
            named=tuple(await _asked_for(session, switch)),
        )
        await incidents.add(session, found, by=by)
        entry = log.Entry(
            actor=by, kind="switch.cleared_alone", subject=switch, payload=detail
        )
        log.record(session, entry, at=now)
        return signalled


async def vouch(store: Store, email: str, *, by: str) -> PersonRow | None:
    """Vouch for an account as it stands, which opens a critical incident.

    For a correct account that was written by something that could not vouch for it.
    Returns None if the account is vouched for already; raises `NotFound`.
    """
    async with store.write() as session:
        row = await accounts.by_email(session, email)
        if row is None:
            raise NotFound(kind="person", name=email)
        await session.refresh(row, with_for_update=True)
        if row_codes.is_genuine(session, row):
            return None
        row.mac = ""
        with row_codes.for_the_first_time(session):
            await session.flush()
        now = await session.read_clock()
        accounts.record(session, "person.vouched_for", row, by=by, role=row.role)
        found = NewIncident(
            severity="critical",
            title=f"{by} vouched for the account {row.email} alone",
            source=f"account {row.id} vouched for alone {now.isoformat()}",
            detail={"person": row.id, "role": row.role, "by": by},
            tenant=row.tenant,
        )
        await incidents.add(session, found, by=by)
        return row


async def open_account(
    store: Store,
    new: NewPerson,
    *,
    password_hash: str | None,
    by: str,
    decides_at_once: bool = False,
) -> tuple[PersonRow, bool]:
    """Open an account without a second person; return whether it opened an incident.

    It opens one if the account may decide or confirm, except for the first such
    account.
    """
    async with store.write() as session:
        is_loud = new.decides and await _has_deciders(session)
        row = await accounts.insert(session, new, password_hash=password_hash, by=by)
        await session.read_clock()
        if decides_at_once:
            await accounts.waive(session, row, by=by)
        if is_loud:
            found = NewIncident(
                severity="critical",
                title=f"{by} opened an account with the role {row.role} alone",
                source=f"account {row.id} opened alone",
                detail={
                    "person": row.id,
                    "role": row.role,
                    "by": by,
                    "decides_at_once": decides_at_once,
                },
                tenant=row.tenant,
                named=(row.id,),
            )
            await incidents.add(session, found, by=by)
        return row, is_loud


async def declare_tenants(
    store: Store, new: Sequence[NewTenant], *, by: str
) -> tuple[list[TenantRow], bool]:
    """Declare tenants without a second person; return whether it opened an incident.

    It opens one if somebody already decides, who could have been asked.
    """
    async with store.write() as session:
        await session.read_clock()
        rows = [await tenants.insert(session, one, by=by) for one in new]
        is_loud = await _has_deciders(session)
        if is_loud:
            named: list[JsonValue] = [row.name for row in rows]
            found = NewIncident(
                severity="high",
                title=f"{by} declared tenants alone: {', '.join(map(str, named))[:200]}",
                source=f"tenants declared alone {new_id('tenant')}",
                detail={"tenants": named, "by": by},
            )
            await incidents.add(session, found, by=by)
        return rows, is_loud


async def issue_token(
    store: Store, person: str, new: NewToken, *, by: str
) -> tuple[Issued, bool]:
    """Make a token that acts as somebody; return whether it opened an incident.

    It opens one if the token acts as a person and they are not the only one here: its
    holder can do what they may, in their name.
    """
    async with store.write() as session:
        issued = await tokens.issue_in(session, person, new, Maker(by))
        owner = await accounts.get(session, person)
        is_loud = owner.kind == "person" and await _has_others(session, person)
        if is_loud:
            found = NewIncident(
                severity="critical",
                title=f"{by} made a token that acts as {owner.name}",
                source=f"token {issued.row.id} made alone",
                detail={
                    "person": owner.id,
                    "token": issued.row.id,
                    "scopes": list(issued.row.scopes),
                    "by": by,
                },
                tenant=owner.tenant,
                named=(owner.id,),
            )
            await incidents.add(session, found, by=by)
        return issued, is_loud


async def _asked_for(session: Tx, switch: str) -> set[str]:
    """Return who requested that a switch be lifted while nobody had said yes."""
    query = select(ProposalRow).where(
        col(ProposalRow.kind) == "switch.clear", col(ProposalRow.status) == "open"
    )
    rows = (await session.execute(query)).scalars()
    return {row.proposed_by for row in rows if row.target.get("switch") == switch}


async def _has_others(session: Tx, person: str) -> bool:
    query = select(PersonRow.id).where(
        col(PersonRow.kind) == "person",
        col(PersonRow.id) != person,
        col(PersonRow.disabled_at).is_(None),
    )
    return (await session.execute(query.limit(1))).first() is not None


async def _has_deciders(session: Tx) -> bool:
    query = select(PersonRow.id).where(
        col(PersonRow.kind) == "person", col(PersonRow.role).in_(DECIDERS)
    )
    return (await session.execute(query.limit(1))).first() is not None
