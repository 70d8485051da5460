"""Whether somebody is still let in as they were: for streams, which outlive the gate."""

from collections.abc import Awaitable, Callable

from approvals.auth.visitor import Visitor
from orchestrator.store import sessions, tokens
from orchestrator.store.approvals import Person
from orchestrator.store.engine import Store
from orchestrator.store.tables import PersonRow

IsLetIn = Callable[[], Awaitable[bool]]

# How long an open stream may go on after what opened it has ended or changed.
ASK_EVERY_S = 5.0


async def is_unchanged(store: Store, known: Visitor) -> bool:
    """Tell whether session or token, account, role and tenant are what they were."""
    owner = sessions.owner if known.token is None else tokens.owner
    row = await owner(store, known.person.session)
    return row is not None and _access(row) == _access(known.person)


def _access(one: PersonRow | Person) -> tuple[str, str, str | None]:
    return one.role, one.kind, one.tenant
