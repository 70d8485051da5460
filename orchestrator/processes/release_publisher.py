"""Releases of this code's contracts, put live by a process with the decision key.

A worker may put nothing live: a row that it wrote there would decide what needs no
approval.
"""

from keyturn.orchestrator.processes.code_version import code_version
from keyturn.orchestrator.rules.authority.binding import Signer
from keyturn.orchestrator.rules.contract import release
from keyturn.orchestrator.rules.contract.registry import Registry
from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.releases import releases


def releases_of(apps: Registry) -> dict[str, Release]:
    """Return the release of each workflow, as this code declares it, by name."""
    return {
        contract.name: release.of(contract, apps.tools, apps.aliases)
        for contract in apps.contracts.values()
    }


async def publish(
    store: Store, apps: Registry, signer: Signer, *, by: str = "system"
) -> dict[str, str]:
    """Put each workflow's release live, signed; return the hashes by name."""
    return {
        name: await releases.publish(
            store, made, code_version=code_version(), signer=signer, by=by
        )
        for name, made in releases_of(apps).items()
    }


async def not_live(store: Store, apps: Registry) -> list[str]:
    """Return the workflows whose live release differs from this code's declaration."""
    async with store.read() as session:
        live = {name: made.hash() for name, made in await releases.all_live(session)}
    own = releases_of(apps)
    return [name for name, made in own.items() if live.get(name) != made.hash()]
