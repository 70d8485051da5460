"""The status of a call: no other module writes it. One begins as `open`."""

from sqlmodel import col, update

from keyturn.orchestrator.rules.status import (
    CALL_TRANSITIONS,
    CallStatus,
    is_allowed,
    sources,
)
from keyturn.orchestrator.store.db import digests
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.status.errors import NoSuchTransition
from keyturn.orchestrator.store.tables import CallRow


def move(row: CallRow, to: CallStatus) -> None:
    """Give a locked call another status; raises `NoSuchTransition`."""
    if not is_allowed(CALL_TRANSITIONS, row.status, to):
        key = f"{row.run}:{row.turn}.{row.index}"
        raise NoSuchTransition("call", key, row.status, to)
    row.status = to


async def answer(
    session: Tx, key: tuple[str, int, int], to: CallStatus, result: str
) -> str | None:
    """End a call of a locked run with its answer; return its tool.

    None if it has an answer already: then nothing changes. `key` is run, turn and
    index.
    """
    run, turn, index = key
    query = (
        update(CallRow)
        .where(
            col(CallRow.run) == run,
            col(CallRow.turn) == turn,
            col(CallRow.index) == index,
            col(CallRow.status).in_(sources(CALL_TRANSITIONS, to)),
        )
        .values(
            status=to,
            result=result,
            ended_at=session.now,
            held_by=None,
            held_at=None,
            held_seen=None,
        )
        .returning(col(CallRow.tool))
    )
    tool = (await session.execute(query)).scalar_one_or_none()
    if tool is not None:
        digests.changed(session, CallRow, key)
    return tool
