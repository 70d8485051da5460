"""Row locks on runs, calls, approvals and effects: no other module takes one.

The order of docs/design.md: the barrier of the switches, then the runs, then the
budgets and the limits, each sorted, then the audit log. Rows that belong to a run are
locked under their run, in any order: nobody else holds them meanwhile. Three kinds of
lock are taken without the run, and document why that cannot deadlock: `due_approvals`,
`effects_in_scope` and `share_effect`.
"""

from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from keyturn.orchestrator.store.db import revisions
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    AttemptRow,
    CallRow,
    EffectRow,
    RunRow,
)


async def run(session: Tx, run_id: str) -> RunRow | None:
    """Lock a run; after the barrier, before everything that belongs to it.

    Other transactions may add rows that refer to the run meanwhile: its key never
    changes. Callers in the rooms use `runs.lookup.lock`, which also applies what a bulk
    action set.
    """
    return await session.get(RunRow, run_id, with_for_update={"key_share": True})


async def runs(session: Tx, query: SelectOfScalar[RunRow]) -> Sequence[RunRow]:
    """Lock the runs that match; `query` sorts them by id, so that no two deadlock."""
    locked = query.with_for_update(key_share=True)
    return (await session.execute(locked)).scalars().all()


async def run_of_attempt(session: Tx, attempt: str) -> None:
    """Lock the run that asked a model, before the budgets that pay for it."""
    owner = select(AttemptRow.run).where(col(AttemptRow.id) == attempt)
    query = select(RunRow.id).where(col(RunRow.id) == owner.scalar_subquery())
    await session.execute(query.with_for_update(key_share=True))


async def call(session: Tx, run_id: str, turn: int, index: int) -> CallRow | None:
    """Lock a call; after its run."""
    return await session.get(CallRow, (run_id, turn, index), with_for_update=True)


async def calls(session: Tx, query: SelectOfScalar[CallRow]) -> Sequence[CallRow]:
    """Lock the calls that match, all of one run; after that run."""
    return (await session.execute(query.with_for_update())).scalars().all()


async def refresh_approval(session: Tx, approval: ApprovalRow) -> None:
    """Lock an approval and read it again; after its run."""
    await session.refresh(approval, with_for_update=True)


async def latest_approval(session: Tx, of: CallRow) -> ApprovalRow | None:
    """Lock the approval of the call's current revision; after its run."""
    query = revisions.current_approval(of).with_for_update()
    return (await session.execute(query)).scalar_one_or_none()


async def due_approvals(
    session: Tx, query: SelectOfScalar[ApprovalRow]
) -> Sequence[ApprovalRow]:
    """Lock the approvals that match and that nobody holds.

    Taken without their runs: it waits for no lock, so it closes no cycle.
    """
    locked = query.with_for_update(skip_locked=True, of=ApprovalRow)
    return (await session.execute(locked)).scalars().all()


async def effect(session: Tx, key: str) -> EffectRow | None:
    """Lock an effect; after its run."""
    return await session.get(EffectRow, key, with_for_update=True)


async def refresh_effect(session: Tx, row: EffectRow) -> None:
    """Lock an effect and read it again; after its run."""
    await session.refresh(row, with_for_update=True)


async def share_effect(session: Tx, key: str) -> EffectRow | None:
    """Keep others from changing an effect, and read it again.

    The effect belongs to another run than the locked one, which takes it back: a
    transaction that changes such an effect locks both runs first
    (`effects.compensation.lock_first`).
    """
    return await session.get(
        EffectRow, key, with_for_update={"read": True}, populate_existing=True
    )


async def effects(session: Tx, query: SelectOfScalar[EffectRow]) -> Sequence[EffectRow]:
    """Lock the effects that match, all of one run, by key; after that run."""
    return await _sorted(session, query)


async def effects_in_scope(
    session: Tx, query: SelectOfScalar[EffectRow]
) -> Sequence[EffectRow]:
    """Lock the effects of many runs, by key; under the exclusive barrier of a switch.

    Taken without their runs: a transaction that leases or sends shares the barrier, and
    so waits.
    """
    return await _sorted(session, query)


async def _sorted(session: Tx, query: SelectOfScalar[EffectRow]) -> Sequence[EffectRow]:
    locked = query.order_by(col(EffectRow.key)).with_for_update()
    return (await session.execute(locked)).scalars().all()
