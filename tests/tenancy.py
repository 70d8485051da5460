"""Tenants for tests: declared on first use."""

from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.tenants import tenants
from keyturn.orchestrator.store.tenants.tenants import NewTenant


async def declare(store: Store, *names: str) -> None:
    """Declare these tenants where they are not."""
    for name in names:
        async with store.write() as session:
            if not await tenants.is_declared(session, name):
                await session.read_clock()
                new = NewTenant(name=name)
                await tenants.insert(session, new, by="tests")
