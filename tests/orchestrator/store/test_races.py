"""Two at once: one outcome, and one clear answer to whoever was second.

A hundred pairs each. What they meet at is made many at a time, by the functions that
make it one at a time; the two of each pair are the product's own transactions.
"""

import asyncio
from collections import Counter
from datetime import timedelta

from keyturn.orchestrator.rules.policy.rules import Verdict
from keyturn.orchestrator.store.approvals import decision, request
from keyturn.orchestrator.store.approvals.decision import Answer
from keyturn.orchestrator.store.approvals.errors import AlreadyDecided
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.effects import undo
from keyturn.orchestrator.store.effects.errors import TooLate
from keyturn.orchestrator.store.ledger.effects import LeaseAnswer
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    CallRow,
    DecisionRow,
    EffectRow,
    RunRow,
)
from tests.databases import both
from tests.depth import SEARCHES
from tests.orchestrator.store.desk import FACTS, Desk, money_of, person, refund

pytestmark = both


# As many as find a race that is there; KEYTURN_SEARCH=1 looks longer.
PAIRS = 1_000 if SEARCHES else 100
AT_ONCE = 10
# So few that a busy machine has them within a transaction's time.
SEEDED = 20
WINDOW = timedelta(seconds=10)


async def test_p09_pairs_of_decisions_have_one_outcome_each(
    desk: Desk,
) -> None:
    rows = await _waiting(desk)

    outcomes = Counter[str]()
    for first in range(0, PAIRS, AT_ONCE):
        pairs = [_race(desk, row) for row in rows[first : first + AT_ONCE]]
        outcomes.update(await asyncio.gather(*pairs))

    assert outcomes.total() == PAIRS
    assert set(outcomes) <= {"approved", "rejected"}
    assert len(await desk.rows(DecisionRow)) == PAIRS


async def test_p09_pairs_of_undo_and_start_have_one_outcome_each(
    desk: Desk,
) -> None:
    """Each pair meets at the very end of the window, some before and some after it."""
    tools = tuple(
        spec.model_copy(update={"undo": WINDOW}) for spec in desk.release.tools
    )
    await desk.go_live(tools=tools)
    rows = await _waiting(desk, approved=True)

    outcomes: dict[str, str] = {}
    for number, row in enumerate(rows):
        outcomes[row.run] = await _undo_or_start(desk, row, number % 12)

    counted = Counter(outcomes.values())
    assert counted.total() == PAIRS
    assert set(counted) == {"undone", "started"}
    begun = {one.run for one in await desk.rows(EffectRow)}
    assert begun == {run for run, came in outcomes.items() if came == "started"}
    pending = {one.run for one in await desk.rows(ApprovalRow, status="pending")}
    assert pending >= {run for run, came in outcomes.items() if came == "undone"}
    assert not pending & begun


async def _race(desk: Desk, row: ApprovalRow) -> str:
    """Return the outcome of two who answer differently at the same moment."""
    answers = await asyncio.gather(
        desk.answer(row, "approve", "amy"),
        desk.answer(row, "reject", "bob"),
        return_exceptions=True,
    )
    [won] = [one for one in answers if isinstance(one, ApprovalRow)]
    [lost] = [one for one in answers if isinstance(one, BaseException)]
    assert isinstance(lost, AlreadyDecided), lost
    winner = "Amy" if won.status == "approved" else "Bob"
    assert lost.decided_by == (winner,)
    assert winner in str(lost)
    return won.status


async def _undo_or_start(desk: Desk, row: ApprovalRow, before_ms: int) -> str:
    """Return the outcome of an undo and a start at the same moment."""
    assert row.undo_until is not None
    desk.clock.at = row.undo_until - timedelta(milliseconds=before_ms)
    taken_back, leased = await asyncio.gather(
        undo.undo(desk.store, person("amy"), row.id, "race"),
        desk.lease(row.run),
        return_exceptions=True,
    )
    assert isinstance(leased, LeaseAnswer), leased
    if isinstance(taken_back, ApprovalRow):
        assert leased.kind in ("not_before", "busy", "waiting"), leased
        return "undone"
    assert isinstance(taken_back, TooLate), taken_back
    if leased.kind == "not_before":
        # It looked before the end, the undo after it: it looks again at the end.
        leased = await desk.lease(row.run)
    assert leased.grant is not None, leased
    return "started"


async def _waiting(desk: Desk, *, approved: bool = False) -> list[ApprovalRow]:
    """Return as many approvals as pairs, each of a run of its own."""
    first = await desk.start(customer="first")
    await desk.draft(first, refund(order="first"))
    run, call = await desk.run(first), await desk.call(first)
    verdict = Verdict.model_validate((await desk.approval(first)).verdict)
    rows: list[ApprovalRow] = []
    for start in range(0, PAIRS, SEEDED):
        async with desk.store.write() as session:
            for number in range(start, start + SEEDED):
                more = _copies(run, call, number)
                rows.append(await _ask(desk, session, *more, verdict, approved))
    return rows


def _copies(run: RunRow, call: CallRow, number: int) -> tuple[RunRow, CallRow]:
    name, drafted = f"{run.id}x{number}", refund(order=f"o{number}")
    like_run = {"id": name, "customer": f"c{number}", "status": "waiting"}
    like_call = {
        "run": name,
        "arguments": drafted.arguments,
        "subject": f"order_id=o{number}",
    }
    return (
        RunRow.model_validate({**run.model_dump(), **like_run}),
        CallRow.model_validate({**call.model_dump(), **like_call}),
    )


async def _ask(  # noqa: PLR0917 what one approval is made of
    desk: Desk,
    session: Tx,
    run: RunRow,
    call: CallRow,
    verdict: Verdict,
    approved: bool,  # noqa: FBT001 a fact of the approval
) -> ApprovalRow:
    session.add(run)
    await session.flush()
    session.add(call)
    now, money = await session.read_clock(), money_of(call.arguments)
    row = await request.ask(
        session,
        run,
        call,
        desk.release,
        request.Question(verdict, preview=FACTS, money=money, reason="so"),
    )
    if approved:
        row.undo_until = now + WINDOW
        answer = Answer(decision="approve", binding=row.binding or "")
        await session.flush()
        amy = person("amy")
        decision.sign(
            session, desk.signer, amy, run, row, answer, effective=row.binding
        )
        await decision.conclude(session, row, run, answer, [amy.id])
    return row
