"""How a run ends, and what its end changes in the record."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue
from sqlmodel import col, or_, select

from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.rules.authority.hold import Hold
from keyturn.orchestrator.rules.status import (
    ENDED_RUNS,
    IN_TEMPORAL,
)
from keyturn.orchestrator.rules.text import storable
from keyturn.orchestrator.store import holds
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db import locks
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.ledger import effects
from keyturn.orchestrator.store.runs import closure
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.runs.errors import NoSuchEnd
from keyturn.orchestrator.store.status import run as run_status
from keyturn.orchestrator.store.switches import active
from keyturn.orchestrator.store.tables import (
    CallRow,
    CustomerMessageRow,
    EffectRow,
    RunRow,
    StepRow,
)

Outcome = Literal["completed", "handed_off", "failed", "cancelled"]


class Ending(BaseModel):
    """How a run ended, and what it leaves."""

    model_config = ConfigDict(frozen=True)

    outcome: Outcome
    step: int | None = None
    output: dict[str, JsonValue] | None = None
    reason: str | None = None
    detail: str | None = None


async def finish(store: Store, run: str, ending: Ending) -> bool:
    """Record how a run ended; a second call changes nothing.

    Returns False if a pause or a halt holds its end: lifting it signals the run. Raises
    `NoSuchEnd` for an end that the record does not confirm.
    """
    async with store.write(first=True) as session:
        await session.share_barrier()
        row = await run_lookup.lock(session, run)
        await _check_end(session, row, ending)
        await session.read_clock()
        step = await _last_step(session, run)
        by = await end_held_by(session, row)
        if by is not None:
            await holds.hold_step(session, row, step, by)
            return False
        await end(session, row, ending)
        return True


async def _check_end(session: Tx, row: RunRow, ending: Ending) -> None:
    if row.status in ENDED_RUNS:
        return
    if ending.outcome == "cancelled" and row.cancel_reason is None:
        words = "it was to end as cancelled, but nobody cancelled it"
        raise NoSuchEnd(words, may_have_been=True)
    if ending.outcome == "completed" and row.compensates is not None:
        query = _open_calls(row.id).limit(1)
        if (await session.execute(query)).first() is not None:
            raise NoSuchEnd("it was to end while a compensation is open")
    elif ending.outcome == "completed" and ending.step is not None:
        step = await session.get(StepRow, (row.id, ending.step))
        if step is None or step.output is None:
            raise NoSuchEnd(
                f"it was to end with the output of step {ending.step}, which has none"
            )


async def end_held_by(session: Tx, row: RunRow) -> Hold | None:
    """Return the pause or halt that holds a locked run's end, or None.

    The transaction shares the barrier: once a halt is set, no run in its scope ends.
    """
    if hold.is_over(row):
        return None
    return hold.held(row, await active.active(session))


async def _last_step(session: Tx, run: str) -> StepRow | None:
    query = select(StepRow).where(col(StepRow.run) == run)
    query = query.order_by(col(StepRow.step).desc()).limit(1).with_for_update()
    return (await session.execute(query)).scalar_one_or_none()


async def end(session: Tx, row: RunRow, ending: Ending) -> None:
    """Record how a locked run ended; does nothing if it has already ended."""
    if row.status in ENDED_RUNS:
        return
    if ending.outcome == "completed" and row.cancel_reason is not None:
        # The last answer came during a cancellation: what the people were told holds.
        ending = ending.model_copy(update={"outcome": "cancelled"})
    if ending.outcome == "completed" and await _has_unread(session, row.id):
        words = "the customer wrote again at the very end"
        ending = ending.model_copy(update={"outcome": "handed_off", "reason": words})
        row.output = await _output(session, row.id, ending)
    failed_later = await _failed_later_or_free(session, row.id)
    if ending.outcome != "handed_off" and failed_later is not None:
        words = f"{failed_later.tool} was done and failed later"
        ending = ending.model_copy(update={"outcome": "handed_off", "reason": words})
        row.output = await _output(session, row.id, ending)
    run_status.move(row, ending.outcome)
    row.ended_at = session.now
    row.stopped_by = row.stopped_at = None
    row.failing = _still_failing(row, ending)
    await holds.clear(session, row.id)
    if ending.outcome == "completed":
        row.output = await _output(session, row.id, ending)
    if ending.outcome == "handed_off":
        # A fallback has left its reason already: words stay out of the workflow.
        given = {"reason": ending.reason, "detail": ending.detail}
        row.handed_off = row.handed_off or given
    if ending.outcome == "failed":
        left = (row.handed_off or {}).get("reason")
        words = left or ending.detail or ending.reason or ""
        row.failure, row.handed_off = storable.text(words), None
    await closure.cancel_approvals(session, row.id, now=session.now)
    log.record(
        session,
        log.Entry(
            actor=f"run:{row.id}",
            kind=f"run.{ending.outcome}",
            tenant=row.tenant,
            run=row.id,
            payload={"reason": ending.reason, "release": row.release},
        ),
        at=session.now,
    )


def _still_failing(row: RunRow, ending: Ending) -> dict[str, Any] | None:
    """Return the failures that an ended run shows: none if it completed."""
    if ending.outcome == "completed":
        return None
    found = (row.failing or {}).items()
    return {place: one for place, one in found if place != IN_TEMPORAL} or None


async def _has_unread(session: Tx, run: str) -> bool:
    query = select(CustomerMessageRow.id).where(
        col(CustomerMessageRow.run) == run, col(CustomerMessageRow.turn).is_(None)
    )
    return (await session.execute(query.limit(1))).first() is not None


async def _failed_later_or_free(session: Tx, run: str) -> EffectRow | None:
    """Return an effect that failed later, if any; release leases nobody will use."""
    query = select(EffectRow).where(
        col(EffectRow.run) == run,
        or_(col(EffectRow.reopened_at).is_not(None), col(EffectRow.status) == "leased"),
    )
    found = await locks.effects(session, query)
    for effect in found:
        await effects.free(session, effect, why="the run was ended")
    return next((one for one in found if one.reopened_at is not None), None)


async def _output(session: Tx, run: str, ending: Ending) -> dict[str, Any] | None:
    if ending.step is None:
        return ending.output
    step = await session.get(StepRow, (run, ending.step))
    return step.output if step else None


def _open_calls(run: str) -> Any:  # noqa: ANN401 a select of calls
    """Return the query for a run's unanswered calls."""
    return select(CallRow).where(col(CallRow.run) == run, col(CallRow.status) == "open")
