"""The support workflow that commands start runs of, and a ticket for it."""

from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.contract import registry, release
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.releases import releases
from tests.databases import VOUCHER

TICKET = {
    "customer_id": "C-1001",
    "customer_email": "mira.holm@example.com",
    "subject": "Mug",
    "message": "It is broken, \u202enekorb.",
}


async def register(url: str) -> None:
    apps = registry.load(["keyturn.workflows.support"])
    store = Store(url, voucher=VOUCHER)
    for contract in apps.contracts.values():
        made = release.of(contract, apps.tools, apps.aliases)
        await releases.publish(
            store, made, code_version="test", signer=Signer(new_key())
        )
    await store.close()
