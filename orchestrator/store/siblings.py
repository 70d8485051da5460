"""Siblings: a message to the customer and the actions of its turn that it speaks of.

It is offered for approval once they are done. Where one of them ends otherwise, the
message is void at once, and the model drafts it again: nobody writes "we refunded you"
before the refund, or without it.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from orchestrator.errors import KeyturnError
from orchestrator.release import Release
from orchestrator.status import OPEN_APPROVALS
from orchestrator.store import asking
from orchestrator.store.tables import ApprovalRow, CallRow


class WaitsForOthers(KeyturnError):
    """What this message speaks of is not done yet."""

    def __init__(self, row: ApprovalRow, others: Sequence[CallRow]) -> None:
        """Name the actions that it waits for."""
        self.approval = row.id
        self.waits_for = tuple(asking.call_id(one) for one in others)
        named = ", ".join(f"{one.tool} ({asking.call_id(one)})" for one in others)
        super().__init__(
            f"{row.id} waits for {named or 'the other actions of its turn'}: it speaks "
            "of what is not done yet. It can be approved once that is done; you can "
            "reject it now."
        )


def speaks(release: Release, tool: str) -> bool:
    """Tell whether a call of this tool is a message to the customer."""
    spec = release.tool(tool)
    return spec.audience == "customer" and spec.is_action


async def of(
    session: AsyncSession, call: CallRow | ApprovalRow, release: Release
) -> list[CallRow]:
    """Return the actions of a message's turn that it may speak of."""
    query = (
        select(CallRow)
        .where(
            col(CallRow.run) == call.run,
            col(CallRow.turn) == call.turn,
            col(CallRow.index) != call.index,
            col(CallRow.authority) != "read_only",
        )
        .order_by(col(CallRow.index))
    )
    found = (await session.execute(query)).scalars()
    return [one for one in found if not speaks(release, one.tool)]


async def waits_for(
    session: AsyncSession, row: ApprovalRow, release: Release
) -> list[CallRow]:
    """Return the actions whose end an approval waits for."""
    if row.status != "waiting":
        return []
    return [one for one in await of(session, row, release) if one.status == "open"]


async def waiting_for(
    session: AsyncSession, row: ApprovalRow, release: Release
) -> list[ApprovalRow]:
    """Return the messages of an action's turn that wait for it."""
    if speaks(release, row.tool):
        return []
    query = (
        select(ApprovalRow)
        .where(
            col(ApprovalRow.run) == row.run,
            col(ApprovalRow.turn) == row.turn,
            col(ApprovalRow.index) != row.index,
            col(ApprovalRow.status) == "waiting",
        )
        .order_by(col(ApprovalRow.index))
    )
    return list((await session.execute(query)).scalars())


def unlike_drafted(others: Sequence[CallRow]) -> str | None:
    """Return what of the same turn did not come out as the message has it, or None."""
    undone = [one.tool for one in others if one.status not in ("open", "done")]
    if undone:
        return not_done(undone)
    edited = [
        one.tool
        for one in others
        if one.status == "done" and one.effective not in (None, one.arguments)
    ]
    if edited:
        return f"a person changed {', '.join(edited)} of the same turn"
    return None


def not_done(tools: Sequence[str]) -> str:
    """Say that these actions were not done."""
    return f"{', '.join(tools)} of the same turn was not done"


def void_words(because: str) -> str:
    """Return what the model reads of a message that was not sent."""
    return (
        f"This message was not sent: {because}. Write it again so that it says "
        "only what was done."
    )


async def void_messages(
    session: AsyncSession, release: Release, ended: CallRow, *, now: datetime
) -> None:
    """End the messages of a call's turn where the call did not end as they have it.

    Called in the transaction that ends it; none of them has begun to be sent.
    """
    if ended.authority == "read_only" or speaks(release, ended.tool):
        return
    because = unlike_drafted([ended])
    if because is None:
        return
    for call in await _open_messages(session, release, ended):
        row = await asking.latest(session, call, lock=True)
        if row is not None and row.status in OPEN_APPROVALS:
            asking.close(session, row, status="void", because=because, now=now)
        asking.end_call(session, call, "void", void_words(because), now=now)


async def _open_messages(
    session: AsyncSession, release: Release, ended: CallRow
) -> list[CallRow]:
    query = (
        select(CallRow)
        .where(
            col(CallRow.run) == ended.run,
            col(CallRow.turn) == ended.turn,
            col(CallRow.status) == "open",
            col(CallRow.authority) != "read_only",
        )
        .with_for_update()
    )
    found = (await session.execute(query)).scalars()
    return [one for one in found if speaks(release, one.tool)]
