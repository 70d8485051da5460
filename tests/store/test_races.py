"""Two at once: one outcome, and one clear answer to whoever was second."""

import asyncio
from collections import Counter

import pytest

from orchestrator.store.approvals import AlreadyDecided
from orchestrator.store.tables import ApprovalRow, DecisionRow
from tests.store.desk import Desk, refund

PAIRS = 1_000
AT_ONCE = 10

pytestmark = pytest.mark.timeout(300)


async def test_p09_a_thousand_pairs_of_decisions_have_one_outcome_each(
    desk: Desk,
) -> None:
    outcomes = Counter[str]()
    for first in range(0, PAIRS, AT_ONCE):
        numbers = range(first, first + AT_ONCE)
        rows = [await _waiting(desk, number) for number in numbers]
        outcomes.update(await asyncio.gather(*(_race(desk, row) for row in rows)))

    assert outcomes.total() == PAIRS
    assert set(outcomes) <= {"approved", "rejected"}
    assert len(await desk.rows(DecisionRow)) == PAIRS


async def _waiting(desk: Desk, number: int) -> ApprovalRow:
    run = await desk.start(customer=f"c{number}")
    await desk.draft(run, refund(order=f"o{number}"))
    return await desk.approval(run, "pending")


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
