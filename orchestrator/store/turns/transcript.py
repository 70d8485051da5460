"""What a model is told of a run's earlier turns, read from the end."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam
from sqlmodel import col, func, select

from keyturn.orchestrator.rules.money.budget import TURNS_PER_STEP
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import CallRow, MessageRow
from keyturn.orchestrator.store.turns.position import first_turn

# How many turns are read at once while a window is filled from the end.
PAGE = 64


@dataclass(frozen=True)
class PastTurn:
    """One committed turn: what was said, then the calls with their answers."""

    turn: int
    messages: list[MessageRow] = field(default_factory=list[MessageRow])
    calls: list[CallRow] = field(default_factory=list[CallRow])

    @property
    def said(self) -> str:
        """Return the first message's text, or an empty text."""
        return self.messages[0].text if self.messages else ""

    def add(self, row: MessageRow | CallRow) -> None:
        """Take in one row, in its order."""
        if isinstance(row, MessageRow):
            self.messages.append(row)
        else:
            self.calls.append(row)


async def read(
    store: Store, *, run: str, step: int, turn: int, window_bytes: int | None
) -> tuple[str, list[PastTurn], bool]:
    """Return the opening message, the latest turns that fit, and whether any did not.

    `turn` is the one to come; those before it are read.

    Reads from the end, so that the cost follows the window and not the run's length.
    """
    base = first_turn(step) - 1
    async with store.read() as session:
        opening: str | None = None
        kept: list[PastTurn] = []
        room, before = window_bytes, turn
        while before > base + 1:
            page = await _page(session, run, since=base, before=before)
            if page[0].turn == base:
                opening = page.pop(0).said
            for past in reversed(page):
                size = _size(past)
                if room is not None and size > room and kept:
                    opening = opening or await _opening(session, run, base)
                    return opening, kept[::-1], True
                room = None if room is None else room - size
                kept.append(past)
            before = page[0].turn
        opening = opening or await _opening(session, run, base)
        return opening, kept[::-1], False


async def repeats(
    store: Store, *, run: str, step: int, wanted: Sequence[tuple[str, str]]
) -> "Counter[tuple[str, str]]":
    """Return how often each (tool, arguments hash) was requested before."""
    base = first_turn(step) - 1
    hashes = [arguments for _, arguments in wanted]
    query = (
        select(CallRow.tool, CallRow.arguments_hash, func.count())
        .where(
            col(CallRow.run) == run,
            col(CallRow.turn) > base,
            col(CallRow.turn) < base + TURNS_PER_STEP,
            col(CallRow.arguments_hash).in_(hashes),
        )
        .group_by(col(CallRow.tool), col(CallRow.arguments_hash))
    )
    async with store.read() as session:
        rows = (await session.execute(query)).all()
    return Counter({(tool, arguments): count for tool, arguments, count in rows})


def _of_turns(table: type[MessageRow] | type[CallRow]) -> Any:  # noqa: ANN401 a query of either
    return (
        select(table)
        .where(col(table.run) == bindparam("run"))
        .where(
            col(table.turn) >= bindparam("since"),
            col(table.turn) < bindparam("before"),
        )
        .order_by(col(table.turn), col(table.index))
    )


_PAGES = (_of_turns(MessageRow), _of_turns(CallRow))


async def _page(session: Tx, run: str, *, since: int, before: int) -> list[PastTurn]:
    # A step's turns are numbered without a gap; its opening is before the first one.
    numbers = range(max(since, before - PAGE), before)
    found = {number: PastTurn(number) for number in numbers}
    place = {"run": run, "since": numbers[0], "before": before}
    for query in _PAGES:
        for row in (await session.execute(query, place)).scalars():
            found[row.turn].add(row)
    return list(found.values())


def _size(past: PastTurn) -> int:
    said = sum(len(message.text) for message in past.messages)
    return said + sum(len(call.result or "") for call in past.calls)


async def _opening(session: Tx, run: str, base: int) -> str:
    row = await session.get(MessageRow, (run, base, 0))
    return row.text if row else ""
