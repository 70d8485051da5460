"""Check that holders of open streams still have access: streams outlive the gate."""

from collections.abc import Collection
from dataclasses import dataclass

from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import sessions, tokens

# How long a stream may outlive the end or change of its credential.
ASK_EVERY_S = 5.0


@dataclass(frozen=True)
class Credential:
    """The session or token that a person came with, and the identity it gave."""

    id: str
    is_token: bool
    role: str
    kind: str
    tenant: str | None


async def unchanged(
    store: Store, known: Collection[Credential]
) -> frozenset[Credential]:
    """Return the credentials whose session, account, role and tenant are unchanged.

    Reads the database once for all of them.
    """
    used = {one.id for one in known if one.is_token}
    owners = await tokens.owners(store, used) if used else {}
    signed_in = {one.id for one in known if not one.is_token}
    owners |= await sessions.owners(store, signed_in) if signed_in else {}
    return frozenset(
        one
        for one in known
        if (row := owners.get(one.id)) is not None
        and (row.role, row.kind, row.tenant) == (one.role, one.kind, one.tenant)
    )
