"""P2: a fault between any two statements leaves what was before, or what comes after.

Each operation of the ledger is broken at its first statement, its second, and so on up
to its commit; then the database says what it said before, and doing it again ends it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import SQLModel, select

from keyturn.orchestrator.rules.errors import KeyturnError
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.effects import resolution, undo
from keyturn.orchestrator.store.effects.resolution import Resolution
from keyturn.orchestrator.store.ledger.effects import Grant
from keyturn.orchestrator.store.runs import control
from keyturn.orchestrator.store.switches import switches
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    CallRow,
    DecisionRow,
    EffectRow,
    RunRow,
    SwitchRow,
)
from tests.databases import warm
from tests.orchestrator.store.desk import Desk, open_desk, person, refund
from tests.orchestrator.store.effects.leases import LEASE_OVER

Before = Callable[[Desk], Awaitable[str]]
Operation = Callable[[Desk, str], Awaitable[object]]
FOUND = Resolution(happened=True, evidence="books", person="lea", person_name="Lea")
# More statements than any operation has.
MOST = 60


class Broken(Exception):
    """The fault that the test injects."""


class Frozen:
    """A clock that stands, so that what is written is the same each time."""

    at = datetime.fromisoformat("2030-01-01T12:00:00+00:00")

    def __call__(self) -> datetime:
        return self.at

    def go_on(self, by: timedelta) -> None:
        self.at += by


@pytest.fixture
async def still(tables_url: str) -> AsyncIterator[Desk]:
    """A desk whose clock stands, with a rule that allows a small refund."""
    rules = (
        Rule("refund", up_to=_dollars(20), verdict="allow"),
        Rule("refund", up_to=_dollars(5_000), approvers=1),
    )
    async with open_desk(tables_url, rules=rules) as desk:
        frozen = Frozen()
        url, timeout = desk.store.url, timedelta(seconds=20)
        store = warm(Store(url, clock=frozen, transaction_timeout=timeout))
        # One account, whose statements are counted.
        desk.accounts = {}
        desk.store, desk.clock = store, frozen  # pyright: ignore[reportAttributeAccessIssue] a clock too
        yield desk
        await store.close()


async def _drafted(desk: Desk) -> str:
    run = await desk.start()
    await desk.draft(run, refund(50_00))
    return run


async def _small(desk: Desk) -> str:
    run = await desk.start()
    await desk.draft(run, refund(5_00))
    return run


async def _approved(desk: Desk) -> str:
    return await desk.approved()


async def _leased(desk: Desk) -> str:
    run = await desk.approved()
    await desk.granted(run)
    return run


async def _sending(desk: Desk) -> str:
    run = await desk.approved()
    await desk.send(run)
    return run


async def _left(desk: Desk) -> str:
    run = await _sending(desk)
    desk.clock.go_on(LEASE_OVER)
    return run


async def _unknown(desk: Desk) -> str:
    run = await desk.approved()
    await desk.record(await desk.send(run), "unknown", "cut")
    return run


async def _switched(desk: Desk) -> str:
    run = await _leased(desk)
    await desk.switch("halt", tool="refund")
    await desk.lease(run, holder="h2")
    return run


async def _paused(desk: Desk) -> str:
    run = await _approved(desk)
    await control.pause(desk.store, run, by="lea", reason="look")
    return run


async def _undoable(desk: Desk) -> str:
    run = await _drafted(desk)
    row = await desk.answer(await desk.approval(run), "approve")
    await desk.tamper(row, undo_until=desk.clock.at + timedelta(seconds=9))
    return run


async def _undo(desk: Desk, run: str) -> object:
    [row, *_] = sorted(
        await desk.rows(ApprovalRow, run=run), key=lambda row: row.revision
    )
    return await undo.undo(desk.store, person("amy"), row.id, "a slip")


async def _edit(desk: Desk, run: str) -> object:
    less = canonical.parse(refund(40_00).arguments)
    row = await desk.approval(run)
    return await desk.answer(row, "approve", arguments=less)


async def _begin(desk: Desk, run: str) -> object:
    return await desk.begin(await _grant(desk, run))


def _record(kind: str) -> Operation:
    async def record(desk: Desk, run: str) -> object:
        return await desk.record(await _grant(desk, run), kind)

    return record


OPERATIONS: dict[str, tuple[Before, Operation]] = {
    "decide": (_drafted, lambda desk, run: _answer(desk, run, "approve")),
    "reject": (_drafted, lambda desk, run: _answer(desk, run, "reject")),
    "ask for changes": (_drafted, lambda desk, run: _answer(desk, run, "change")),
    "edit": (_drafted, _edit),
    "undo": (_undoable, _undo),
    "lease an allowed one": (_small, lambda desk, run: desk.lease(run)),
    "lease an approved one": (_approved, lambda desk, run: desk.lease(run)),
    "begin": (_leased, _begin),
    "record done": (_sending, _record("done")),
    "record failed": (_sending, _record("failed")),
    "record unknown": (_sending, _record("unknown")),
    "record not sent": (_sending, _record("not_sent")),
    "take over": (_left, lambda desk, run: desk.lease(run, holder="h2")),
    "late receipt": (_unknown, _record("done")),
    "resolve": (
        _unknown,
        lambda desk, run: resolution.resolve(desk.store, f"{run}:1.0.0", FOUND),
    ),
    "give up": (
        _approved,
        lambda desk, run: desk.give_up(run),
    ),
    "set a switch": (_leased, lambda desk, _: desk.switch("halt", tool="refund")),
    "lift a switch": (
        _switched,
        lambda desk, _: switches.clear(desk.store, "s1", by="lea", reason="over"),
    ),
    "pause": (
        _leased,
        lambda desk, run: control.pause(desk.store, run, by="lea", reason="look"),
    ),
    "resume": (
        _paused,
        lambda desk, run: control.resume(desk.store, run, by="lea", reason="seen"),
    ),
    "cancel": (
        _leased,
        lambda desk, run: control.cancel(desk.store, run, by="lea", reason="no"),
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
async def test_p02_a_fault_at_any_statement_changes_nothing(
    still: Desk, name: str
) -> None:
    prepare, operate = OPERATIONS[name]
    run = await prepare(still)
    before = await _all(still)

    broken = 0
    for nth in range(1, MOST):
        with _fault(still.store, nth) as fault:
            await _despite_fault(operate(still, run))
        if not fault.struck:
            break
        broken += 1
        assert await _all(still) == before, f"statement {nth}"

    assert broken > 2
    assert await _all(still) != before


@pytest.mark.parametrize("name", OPERATIONS)
async def test_p02_an_operation_whose_answer_was_lost_is_done_once(
    still: Desk, name: str
) -> None:
    prepare, operate = OPERATIONS[name]
    run = await prepare(still)
    await operate(still, run)
    after = await _states(still)

    with suppress(KeyturnError):
        await operate(still, run)

    assert await _states(still) == after


class _Fault:
    struck = False


@contextmanager
def _fault(store: Store, nth: int) -> Generator[_Fault]:
    """Break the n-th statement, a commit counted as one."""
    fault, seen = _Fault(), 0

    def strike(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == nth:
            fault.struck = True
            raise Broken

    engine = store.engine.sync_engine
    names = ("before_cursor_execute", "commit")
    for name in names:
        event.listen(engine, name, strike)
    try:
        yield fault
    finally:
        for name in names:
            event.remove(engine, name, strike)


async def _despite_fault(work: Awaitable[object]) -> None:
    with suppress(Broken):
        await work


async def _all(desk: Desk) -> dict[str, list[Any]]:
    """Return every row of the record; numbers given by the database are left out."""
    found: dict[str, list[Any]] = {}
    async with desk.store.read() as session:
        for table in SQLModel.metadata.sorted_tables:
            columns = [
                c
                for c in table.columns
                if not (c.primary_key and c.autoincrement is True)
                and not (c.name == "id" and c.type.python_type is int)
            ]
            rows = (await session.execute(select(*columns))).all()
            found[table.name] = sorted(map(repr, rows))
    return found


async def _states(desk: Desk) -> list[object]:
    """Return what is so, without how often it was looked at."""
    return [
        sorted((e.key, e.status, e.sending_at) for e in await desk.rows(EffectRow)),
        sorted((a.id, a.status, a.consumed_by) for a in await desk.rows(ApprovalRow)),
        sorted((c.run, c.status, c.result) for c in await desk.rows(CallRow)),
        sorted((r.id, r.status) for r in await desk.rows(RunRow)),
        sorted((s.id, s.cleared_at) for s in await desk.rows(SwitchRow)),
        len(await desk.rows(DecisionRow)),
    ]


async def _grant(desk: Desk, run: str) -> Grant:
    effect = await desk.effect(f"{run}:1.0.0")
    return Grant(key=effect.key, attempt=effect.attempt, arguments=effect.arguments)


async def _answer(desk: Desk, run: str, decision: str) -> object:
    return await desk.answer(await desk.approval(run), decision)


def _dollars(whole: int) -> Money:
    return Money(whole * 100, "USD")
