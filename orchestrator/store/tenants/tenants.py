"""Tenants: runs are started for declared ones only. A caller cannot invent one."""

from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import col, select

from keyturn.orchestrator.rules.text import folded_name
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import TenantRow
from keyturn.orchestrator.store.tenants.errors import TenantDeclared, UndeclaredTenant

# It exists in every installation, without a row.
DEFAULT = "default"
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


class NewTenant(BaseModel):
    """A tenant to declare; its name travels to services as `Keyturn-Tenant`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME)


async def declared(session: Tx) -> list[str]:
    """Return the names of all tenants, in order."""
    found = (await session.execute(select(TenantRow.name))).scalars()
    return sorted({DEFAULT, *found})


async def is_declared(session: Tx, name: str) -> bool:
    """Tell whether a tenant has exactly this name."""
    if name == DEFAULT:
        return True
    row = await session.get(TenantRow, folded_name.fold(name))
    return row is not None and row.name == name


async def check(session: Tx, name: str, *, sees_all: bool = False) -> None:
    """Raise `UndeclaredTenant`; people who see all tenants are told which exist."""
    if await is_declared(session, name):
        return
    known = f" Declared: {', '.join(await declared(session))}." if sees_all else ""
    raise UndeclaredTenant(
        f"tenant: {name!r} is not declared, so no run can start for it.{known} An admin "
        f"proposes it (`keyturn tenant propose {name}`) and another admin confirms it; on the "
        f"server host, `keyturn tenant add {name}` declares it"
    )


async def is_rehearsal(session: Tx, name: str) -> bool:
    """Tell whether a tenant's runs reach only doubles of services, and no customers."""
    if name == DEFAULT:
        return False
    row = await session.get(TenantRow, folded_name.fold(name))
    return row is not None and row.name == name and row.is_rehearsal


async def listing(session: Tx) -> list[TenantRow]:
    """Return the declared tenants by name."""
    query = select(TenantRow).order_by(col(TenantRow.name))
    return list((await session.execute(query)).scalars())


async def check_new(session: Tx, name: str) -> None:
    """Raise `TenantDeclared`, or reserve the name until the commit."""
    key = folded_name.fold(name)
    await session.take_turn(f"tenant {key}")
    row = await session.get(TenantRow, key, populate_existing=True)
    if row is not None or key == DEFAULT:
        there = row.name if row is not None else DEFAULT
        raise TenantDeclared(
            f"The tenant {there!r} is declared already, and names that look alike count as the same."
        )


async def insert(
    session: Tx, new: NewTenant, *, by: str, is_rehearsal: bool = False
) -> TenantRow:
    """Declare a tenant in this transaction; raises `TenantDeclared`."""
    await check_new(session, new.name)
    row = TenantRow(
        key=folded_name.fold(new.name),
        name=new.name,
        declared_by=by,
        created_at=session.now,
        is_rehearsal=is_rehearsal,
    )
    session.add(row)
    entry = log.Entry(
        actor=by,
        kind="tenant.declared",
        tenant=new.name,
        subject=new.name,
        payload={"rehearsal": is_rehearsal},
    )
    log.record(session, entry, at=session.now)
    return row


async def rehearse(store: Store, name: str, *, by: str) -> None:
    """Declare a tenant of an evaluation, with services that are doubles of its own.

    For composition roots that bring those doubles; callers cannot reach it.
    """
    async with store.write() as session:
        if not await is_declared(session, name):
            await session.read_clock()
            new = NewTenant(name=name)
            await insert(session, new, by=by, is_rehearsal=True)
