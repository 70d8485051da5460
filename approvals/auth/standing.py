"""Whether somebody is still let in as they were: for streams, which outlive the gate."""

from collections.abc import Awaitable, Callable

from approvals.auth.visitor import Visitor
from orchestrator.store import sessions, tokens
from orchestrator.store.engine import Store

IsLetIn = Callable[[], Awaitable[bool]]

# How long an open stream may go on after what opened it has ended or changed.
ASK_EVERY_S = 5.0


async def is_unchanged(store: Store, known: Visitor) -> bool:
    """Tell whether session or token, account, role and tenant are what they were."""
    owner = sessions.owner if known.token is None else tokens.owner
    row = await owner(store, known.person.session)
    if row is None:
        return False
    person = known.person
    return (row.role, row.kind, row.tenant) == (person.role, person.kind, known.home)
