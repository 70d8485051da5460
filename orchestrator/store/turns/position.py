"""Steps of a run in the record: how one begins, and the run's position within it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam
from sqlalchemy.exc import IntegrityError
from sqlmodel import and_, col, exists, select

from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.rules.authority.hold import Hold
from keyturn.orchestrator.rules.authority.switch import Switch
from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.money.budget import TURNS_PER_STEP, Needs
from keyturn.orchestrator.store import holds
from keyturn.orchestrator.store.budgets import limits, reservations
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import bulk_scope, faults
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.status import run as run_status
from keyturn.orchestrator.store.switches import active
from keyturn.orchestrator.store.tables import (
    CallRow,
    CustomerMessageRow,
    MessageRow,
    RunRow,
    StepRow,
    TurnRow,
)


@dataclass(frozen=True)
class Position:
    """A run's position before a turn; `result` is set if the turn is committed.

    `out_of_order`: why this turn cannot be the next one, in words; None: it can.
    """

    run: RunRow
    step: StepRow
    turn: int
    release: Release
    switches: list[Switch]
    now: datetime
    result: str | None
    unread: list[CustomerMessageRow]
    out_of_order: str | None = None


def first_turn(step: int) -> int:
    """Return the number of a step's first turn."""
    return (step - 1) * TURNS_PER_STEP + 1


async def begin_step(
    store: Store, step: StepRow, opening: Callable[[Release, str], str]
) -> None:
    """Record a step and its opening message; a second call changes nothing.

    `opening` makes the message from the run's release and input.
    """
    try:
        async with store.write() as session:
            if await session.get(StepRow, (step.run, step.step)) is not None:
                return
            run = await run_lookup.lock(session, step.run)
            release = await releases.load(session, run.release)
            now = await session.read_clock()
            step.created_at = now
            session.add(step)
            # The author's code got further than the place where it failed.
            faults.healed(run, faults.WORKFLOW, faults.ENGINE)
            session.add(
                MessageRow(
                    run=step.run,
                    turn=first_turn(step.step) - 1,
                    index=0,
                    role="user",
                    text=opening(release, run.input),
                    created_at=now,
                )
            )
            if run.status == "queued":
                run_status.move(run, "running")
    except IntegrityError:
        # Another attempt recorded the same step first.
        return


# One statement: it runs in every turn, and once a second while a model is asked. Built
# once, because building it takes longer than running it.
_POSITION = (
    select(
        RunRow,
        StepRow,
        TurnRow.result,
        exists().where(
            col(CustomerMessageRow.run) == bindparam("run"),
            col(CustomerMessageRow.turn).is_(None),
        ),
    )
    .select_from(RunRow)
    .outerjoin(
        TurnRow,
        and_(
            col(TurnRow.run) == bindparam("run"),
            col(TurnRow.turn) == bindparam("turn"),
        ),
    )
    .outerjoin(
        StepRow,
        and_(
            col(StepRow.run) == bindparam("run"),
            col(StepRow.step) == bindparam("step"),
        ),
    )
    .where(col(RunRow.id) == bindparam("run"))
)


async def load(store: Store, *, run: str, step: int, turn: int) -> Position:
    """Return the run's position; raises `NotFound` for an unknown run or step."""
    place = {"run": run, "step": step, "turn": turn}
    async with store.read() as session:
        found = (await session.execute(_POSITION, place)).one_or_none()
        if found is None:
            raise NotFound(kind="run", name=run)
        row, known, result, is_written = found
        await bulk_scope.show(session, row)
        now = await session.read_clock()
        return Position(
            run=row,
            step=known
            or StepRow(run=run, step=step, name="", kind="act", created_at=now),
            turn=turn,
            release=await releases.load(session, row.release),
            switches=await active.active(session),
            now=now,
            result=result,
            unread=await unread(session, run) if is_written else [],
            out_of_order=None
            if result
            else await _out_of_order(session, run, known, step, turn),
        )


_BEFORE = select(
    exists().where(
        col(TurnRow.run) == bindparam("run"), col(TurnRow.turn) == bindparam("before")
    ),
    exists().where(
        col(CallRow.run) == bindparam("run"),
        col(CallRow.turn) == bindparam("before"),
        col(CallRow.status) == "open",
    ),
)


async def _out_of_order(
    session: Tx, run: str, known: StepRow | None, step: int, turn: int
) -> str | None:
    """Return why a turn that is not committed cannot be the next one of its step.

    A workflow of ours asks for one turn after the other, and for none before all calls
    of the previous one have ended. A workflow that asks otherwise was told something
    untrue.
    """
    first = first_turn(step)
    if not first <= turn < first + TURNS_PER_STEP:
        return f"turn {turn} does not belong to step {step}"
    if turn > first:
        before = {"run": run, "before": turn - 1}
        is_committed, has_open = (await session.execute(_BEFORE, before)).one()
        if not is_committed:
            return f"turn {turn} was requested, but turn {turn - 1} was never committed"
        if has_open:
            return f"turn {turn} was requested while calls of turn {turn - 1} are open"
    if known is not None and known.output is not None:
        return f"turn {turn} was requested, but step {step} has its output already"
    return None


async def stop(
    store: Store, at: Position, by: Hold, needs: Needs | None = None
) -> bool:
    """Record what prevents a step's next turn; False if it no longer does.

    Without this check, a switch lifted, a run resumed or a budget raised between look
    and commit would signal nobody. `needs` is what a budget had no room for.
    """
    async with store.write() as session:
        # Lifting a switch only takes the barrier: it is lifted before this, or signals.
        await session.share_barrier()
        row = await run_lookup.lock(session, at.run.id)
        if hold.is_over(row):
            return False
        await session.read_clock()
        if by.kind == "pause" and row.paused_by is None:
            return False
        if by.kind == "switch" and await _has_eased(session, at):
            return False
        if needs is not None and await _has_room(session, at, needs):
            return False
        step = await session.get(StepRow, (row.id, at.step.step), with_for_update=True)
        if step is not None:
            step.needs = needs.model_dump() if needs is not None else None
        await holds.hold_step(session, row, step, by)
        return True


async def _has_room(session: Tx, at: Position, needs: Needs) -> bool:
    """Tell whether a budget has got room since the look, or its day is over.

    Its lock is kept until the commit: a person who raises it now finds this run held.
    """
    scopes = limits.bounds(
        at.release.budget,
        run=at.run.id,
        workflow=at.run.workflow,
        tenant=at.run.tenant,
        now=session.now,
    )
    if needs.scope not in scopes:
        return True
    meter = await reservations.locked(session, needs.scope)
    return limits.has_room(scopes[needs.scope], meter, needs)


async def _has_eased(session: Tx, at: Position) -> bool:
    """Tell whether a switch was lifted, or a model offered, since the look.

    Which of several switches blocks a run's models is not known: any may matter.
    """
    seen = {(one.id, one.created_at) for one in at.switches}
    fresh = await active.active(session)
    is_offered = any(
        one.mode == "use_model" and (one.id, one.created_at) not in seen
        for one in fresh
    )
    return is_offered or not seen <= {(one.id, one.created_at) for one in fresh}


async def go_on(store: Store, run: str, step: int) -> None:
    """Mark a run that was held, or waits to be picked up, as running."""
    async with store.write() as session:
        row = await run_lookup.lock(session, run)
        if row.paused_by is not None:
            return
        known = await session.get(StepRow, (run, step), with_for_update=True)
        if known is not None:
            known.held_by = known.held_seen = known.needs = None
        await session.read_clock()
        await holds.settle(session, row, status="running")


async def use_safer_model(store: Store, run: str) -> bool:
    """Move a run to its contract's safer model; False if it uses it already."""
    async with store.write() as session:
        row = await run_lookup.lock(session, run)
        if row.use_safer_model:
            return False
        row.use_safer_model = True
        return True


async def unread(session: Tx, run: str) -> list[CustomerMessageRow]:
    """Return what the customer wrote that no turn has read, in its order."""
    query = (
        select(CustomerMessageRow)
        .where(
            col(CustomerMessageRow.run) == run, col(CustomerMessageRow.turn).is_(None)
        )
        .order_by(col(CustomerMessageRow.id))
    )
    return list((await session.execute(query)).scalars())
