"""Siblings: a message to the customer, and the actions of its turn that it describes.

The message is offered for approval once these actions are done. If one of them ends
otherwise, the message is void at once, and the model drafts it again: nobody writes "we
refunded you" before the refund, or without it. The same happens if an action of its
turn or of an earlier one fails later, is compensated, or had another outcome than the
model was told (`untold`). While it is unknown whether an action stays done, the draft
waits.
"""

from collections.abc import Sequence

from sqlmodel import col, select

from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.status import ANSWERED_NO, OPEN_APPROVALS
from keyturn.orchestrator.rules.text import model_notices
from keyturn.orchestrator.store import outbox
from keyturn.orchestrator.store.approvals import request
from keyturn.orchestrator.store.db import locks
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.ledger import corrections, effects, keys
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import answers
from keyturn.orchestrator.store.tables import ApprovalRow, CallRow, RunRow


def not_settled(others: Sequence[CallRow]) -> str:
    """Describe the state of the actions that a message waits for."""
    if others and all(one.status == "done" for one in others):
        return (
            "an action that has been reported as failed since, or is being compensated"
        )
    return "an action that is not done yet"


def speaks(release: Release, tool: str) -> bool:
    """Tell whether a call of this tool is a message to the customer."""
    spec = release.tool(tool)
    return spec.audience == "customer" and spec.is_action


async def of(
    session: Tx, call: CallRow | ApprovalRow, release: Release
) -> list[CallRow]:
    """Return the actions of a message's turn that it may describe."""
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


async def waits_for(session: Tx, row: ApprovalRow, release: Release) -> list[CallRow]:
    """Return the actions that an approval waits for."""
    if row.status != "waiting":
        return []
    return await _unsettled(session, row, release)


async def _unsettled(
    session: Tx, call: CallRow | ApprovalRow, release: Release
) -> list[CallRow]:
    others = [one for one in await of(session, call, release) if one.status == "open"]
    return others + await corrections.unsettled(session, call)


async def waiting_for(
    session: Tx, row: ApprovalRow, release: Release
) -> list[ApprovalRow]:
    """Return the messages that wait for an action, of its turn and of later turns."""
    place = (row.turn, row.index)
    query = (
        select(ApprovalRow)
        .where(
            col(ApprovalRow.run) == row.run,
            col(ApprovalRow.turn) >= row.turn,
            col(ApprovalRow.status) == "waiting",
        )
        .order_by(col(ApprovalRow.turn), col(ApprovalRow.index))
    )
    return [
        message
        for message in (await session.execute(query)).scalars()
        if any(
            (one.turn, one.index) == place
            for one in await waits_for(session, message, release)
        )
    ]


async def is_early(session: Tx, call: CallRow | ApprovalRow, release: Release) -> bool:
    """Tell whether this is a message about actions that are not settled."""
    if not speaks(release, call.tool):
        return False
    return bool(await _unsettled(session, call, release))


async def why_untrue(session: Tx, call: CallRow, release: Release) -> str | None:
    """Return what a message states that is not, or no longer, true; None otherwise."""
    if not speaks(release, call.tool):
        return None
    because = unlike_drafted(await of(session, call, release))
    return because or await corrections.undone(session, call)


def unlike_drafted(others: Sequence[CallRow]) -> str | None:
    """Return what of this turn had another outcome than the message states, or None."""
    undone = [one.tool for one in others if one.status not in ("open", "done")]
    if undone:
        return model_notices.siblings_not_done(tools=undone)
    edited = [
        one.tool
        for one in others
        if one.status == "done" and one.effective not in (None, one.arguments)
    ]
    if edited:
        return model_notices.siblings_edited(tools=edited)
    return None


async def void_messages(session: Tx, release: Release, ended: CallRow) -> None:
    """Void the messages of a call's turn if the call ended otherwise than they state.

    Called in the transaction that ends the call; none of them has begun to be sent.
    """
    if ended.authority == "read_only" or speaks(release, ended.tool):
        return
    because = unlike_drafted([ended])
    if because is None:
        return
    for call in await _open_messages(session, release, ended.run, turn=ended.turn):
        await _void(session, call, because)


async def void_untrue(session: Tx, run: RunRow) -> None:
    """Void the messages of a locked run that are no longer true, and signal the run.

    A message that may have been sent keeps its outcome.
    """
    release = await releases.load(session, run.release)
    for call in await _open_messages(session, release, run.id):
        because = await why_untrue(session, call, release)
        effect = await locks.effect(session, keys.effect_key(call))
        if because is None or (effect is not None and effect.sending_at is not None):
            continue
        if effect is not None:
            await effects.free(session, effect, why=because)
        await _void(session, call, because)
        outbox.add(session, "wake", run.id, at=session.now)


async def is_answered(session: Tx, call: CallRow) -> bool:
    """Tell whether the request is settled: a no, a new customer message, or a time-out.

    The model reads that at once, whichever actions the message waits for.
    """
    row = await locks.latest_approval(session, call)
    return row is not None and row.status not in OPEN_APPROVALS


async def look_again(session: Tx, run: RunRow) -> None:
    """Do the same, and have the run check what waits: it may no longer have to wait."""
    await session.flush()
    await void_untrue(session, run)
    outbox.add(session, "wake", run.id, at=session.now)


async def _void(session: Tx, call: CallRow, because: str) -> None:
    row = await locks.latest_approval(session, call)
    if row is not None and row.status in ANSWERED_NO:
        return
    if row is not None and row.status in OPEN_APPROVALS:
        request.close(session, row, status="void", because=because)
    told = model_notices.message_void(because=because)
    answers.end_call(session, call, "void", told)


async def _open_messages(
    session: Tx, release: Release, run: str, *, turn: int | None = None
) -> list[CallRow]:
    query = select(CallRow).where(
        col(CallRow.run) == run,
        col(CallRow.status) == "open",
        col(CallRow.authority) != "read_only",
    )
    if turn is not None:
        query = query.where(col(CallRow.turn) == turn)
    found = await locks.calls(session, query)
    return [one for one in found if speaks(release, one.tool)]
