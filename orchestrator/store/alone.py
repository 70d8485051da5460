"""What whoever holds the database does without a second person: seen, not prevented."""

from collections.abc import Sequence

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from orchestrator.store import audit, incidents, people, switches, tenants
from orchestrator.store.engine import Store
from orchestrator.store.incidents import NewIncident
from orchestrator.store.people import DECIDERS, NewPerson
from orchestrator.store.runs import new_id
from orchestrator.store.tables import PersonRow, TenantRow
from orchestrator.store.tenants import NewTenant


async def lift(store: Store, switch: str, *, by: str, reason: str) -> list[str]:
    """Lift a switch without a second person; return the runs that were rung.

    For while nobody else can be reached. It opens an incident, which another person has
    to read and close.
    """
    async with store.write() as session:
        rung = await switches.lift(store, session, switch, by=by, reason=reason)
        detail: dict[str, JsonValue] = {"switch": switch, "by": by, "reason": reason}
        now = await store.now(session)
        found = NewIncident(
            severity="critical",
            title=f"{by} lifted the switch {switch} alone",
            source=f"switch {switch} lifted alone {now.isoformat()}",
            detail=detail,
        )
        await incidents.add(session, store, found, by=by)
        entry = audit.Entry(
            actor=by, kind="switch.cleared_alone", subject=switch, payload=detail
        )
        audit.record(session, entry, at=now)
        return rung


async def open_account(
    store: Store,
    new: NewPerson,
    *,
    password_hash: str | None,
    by: str,
    decides_at_once: bool = False,
) -> tuple[PersonRow, bool]:
    """Open an account without a second person; return whether it opened an incident.

    It does where the account may decide or confirm, but for the first such one.
    """
    async with store.write() as session:
        is_loud = new.decides and await _has_deciders(session)
        row = await people.insert(
            session, store, new, password_hash=password_hash, by=by
        )
        now = await store.now(session)
        if decides_at_once:
            await people.waive(session, row, by=by, at=now)
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
            )
            await incidents.add(session, store, found, by=by)
        return row, is_loud


async def declare_tenants(
    store: Store, new: Sequence[NewTenant], *, by: str
) -> tuple[list[TenantRow], bool]:
    """Declare tenants without a second person; return whether it opened an incident.

    It does where somebody decides already, who could have been asked.
    """
    async with store.write() as session:
        now = await store.now(session)
        rows = [await tenants.insert(session, store, one, by=by, at=now) for one in new]
        is_loud = await _has_deciders(session)
        if is_loud:
            named: list[JsonValue] = [row.name for row in rows]
            found = NewIncident(
                severity="high",
                title=f"{by} declared tenants alone: {', '.join(map(str, named))[:200]}",
                source=f"tenants declared alone {new_id('tenant')}",
                detail={"tenants": named, "by": by},
            )
            await incidents.add(session, store, found, by=by)
        return rows, is_loud


async def _has_deciders(session: AsyncSession) -> bool:
    query = select(PersonRow.id).where(
        col(PersonRow.kind) == "person", col(PersonRow.role).in_(DECIDERS)
    )
    return (await session.execute(query.limit(1))).first() is not None
