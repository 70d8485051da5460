"""A person's unfinished edit of an approval; it survives a conflict."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.tables import DraftRow


async def save(
    store: Store,
    approval: str,
    *,
    person: str,
    tenant: str | None,
    form: Mapping[str, Sequence[str]],
) -> datetime:
    """Store a form as it is, valid or not; return the time at which it was stored.

    Raises `NotFound` for an approval that this person may not see.
    """
    async with store.write() as session:
        await approval_lookup.get(session, approval, tenant=tenant)
        # Two tabs of one person may store drafts at once; the later one wins.
        await session.take_turn(f"draft {approval} {person}")
        now = await session.read_clock()
        await session.merge(
            DraftRow(
                approval=approval,
                person=person,
                form={name: list(texts) for name, texts in form.items()},
                saved_at=now,
                used_at=None,
            )
        )
        return now


async def use(store: Store, approval: str, *, person: str) -> None:
    """Mark a person's draft as decided: hidden, and kept until the action is done."""
    async with store.write() as session:
        row = await session.get(DraftRow, (approval, person))
        if row is not None:
            row.used_at = await session.read_clock()


async def drop(store: Store, approval: str, *, person: str) -> None:
    """Delete a person's draft."""
    async with store.write() as session:
        row = await session.get(DraftRow, (approval, person))
        if row is not None:
            await session.delete(row)
