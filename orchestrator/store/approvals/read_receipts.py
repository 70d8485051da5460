"""Read receipts: the items a person has opened, so that a batch was read one by one."""

from collections.abc import Sequence

from sqlmodel import col, select

from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.errors import InvalidValue
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.approvals.errors import StaleBinding
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import OpeningRow

Bindings = dict[str, str]


async def record(store: Store, person: Person, approval: str, binding: str) -> None:
    """Record that this session's page of the approval was open with this binding.

    Raises `NotFound`, or `StaleBinding` if the binding is not the current one.
    """
    async with store.write() as session:
        row = await approval_lookup.get(session, approval, tenant=person.tenant)
        if row.binding is None or binding != row.binding:
            raise StaleBinding(
                f"{row.id} has changed since it was shown to you; read it again."
            )
        key = (approval, person.session, binding)
        # Two tabs of one session may open it at once.
        await session.take_turn(f"opening {approval} {person.session}")
        if await session.get(OpeningRow, key) is None:
            session.add(
                OpeningRow(
                    approval=approval,
                    session=person.session,
                    binding=binding,
                    person=person.id,
                    at=await session.read_clock(),
                )
            )


async def of(
    session: Tx, person: Person, approvals_: Sequence[str]
) -> set[tuple[str, str]]:
    """Return which of these the session has opened, as approval and binding."""
    query = select(OpeningRow.approval, OpeningRow.binding).where(
        col(OpeningRow.session) == person.session,
        col(OpeningRow.person) == person.id,
        col(OpeningRow.approval).in_(approvals_),
    )
    return {(approval, bound) for approval, bound in await session.execute(query)}


async def check(store: Store, person: Person, bound: Bindings) -> None:
    """Raise `InvalidValue`, naming the first item that was not opened as it is now."""
    async with store.read() as session:
        opened = await of(session, person, list(bound))
    closed = [one for one in bound.items() if one not in opened]
    if closed:
        raise InvalidValue(
            f"items: {len(closed)} of {len(bound)} were not opened since you signed "
            f"in, or have changed since: {', '.join(name for name, _ in closed)}. Open "
            "and read each of them, then decide them at once"
        )
