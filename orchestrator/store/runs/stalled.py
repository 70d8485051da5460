"""Runs that stand still though they could continue (P9)."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Literal

from sqlmodel import col, func, select

from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.rules.errors import InvalidValue
from keyturn.orchestrator.rules.money.budget import TURNS_PER_STEP
from keyturn.orchestrator.rules.money.scope import BudgetScope
from keyturn.orchestrator.rules.status import ENDED_RUNS
from keyturn.orchestrator.store import outbox
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db import revisions
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.incidents import incidents
from keyturn.orchestrator.store.incidents.incidents import NewIncident
from keyturn.orchestrator.store.ledger import keys
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.switches import active
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    AuditRow,
    CallRow,
    EffectRow,
    RunRow,
    StepRow,
    TurnRow,
)

SIGNALLED_AGAIN = "run.rung_again"
# After this many signals since it last moved, people are told.
MOST_SIGNALS = 3
SIGNAL_AGAIN = timedelta(seconds=30)
SLOWEST = 8
THE_END = "the run's end"
Signalled = Literal["not", "signalled", "deaf"]


async def could_go_on(store: Store, run: str, *, still: timedelta) -> str | None:
    """Return what a run could do and has not done for this long, or None.

    None means that it waits rightly.
    """
    async with store.read() as session:
        row = await run_lookup.get(session, run)
        now = await session.read_clock()
        if row.status in ENDED_RUNS or row.paused_by is not None:
            return None
        if await _moved_at(session, row) > now - still:
            return None
        set_now = {one.id for one in await active.active(session)}
        return await _undone(session, row, set_now)


async def signal(
    store: Store, run: str, *, why: str, is_delivered: bool = False
) -> Signalled:
    """Signal a run that stands still, ever less often; say whether it was signalled.

    If that did not help three times, an incident is opened, once per run. A run that
    took its signals (`is_delivered`: a worker works on its tasks) and still does nothing
    cannot be revived: "deaf".
    """
    async with store.write() as session:
        row = await run_lookup.lock(session, run)
        now = await session.read_clock()
        since = await _moved_at(session, row)
        times, last = await _signals(session, run, since)
        if row.status in ENDED_RUNS or row.paused_by is not None:
            return "not"
        if last is not None and now - last < SIGNAL_AGAIN * 2 ** min(
            times - 1, SLOWEST
        ):
            return "not"
        if times == MOST_SIGNALS:
            await _tell(session, row, why=why, since=since)
        outbox.add(session, "wake", run, at=now)
        log.record(
            session,
            log.Entry(
                actor="system",
                kind=SIGNALLED_AGAIN,
                tenant=row.tenant,
                run=run,
                payload={"why": why, "times": times + 1},
            ),
            at=now,
        )
        return "deaf" if is_delivered and times >= MOST_SIGNALS else "signalled"


async def _signals(
    session: Tx, run: str, since: datetime
) -> tuple[int, datetime | None]:
    query = select(func.count(), func.max(col(AuditRow.at))).where(
        col(AuditRow.run) == run,
        col(AuditRow.kind) == SIGNALLED_AGAIN,
        col(AuditRow.at) > since,
    )
    times, last = (await session.execute(query)).one()
    return times, last


async def _tell(session: Tx, row: RunRow, *, why: str, since: datetime) -> None:
    source = f"run {row.id} stands still"
    if await incidents.of_source(session, source) is not None:
        return
    found = NewIncident(
        severity="high",
        title=f"Run {row.id} of {row.workflow} makes no progress",
        source=source,
        detail={
            "run": row.id,
            "words": f"It could continue ({why}) and was signalled {MOST_SIGNALS} times, but has made "
            f"no progress since {since:%Y-%m-%d %H:%M %Z}. Check the workers' logs and "
            "the run in Temporal; `keyturn run cancel` ends it.",
        },
        tenant=row.tenant,
    )
    await incidents.add(session, found, by="system")


async def _moved_at(session: Tx, row: RunRow) -> datetime:
    """Return the time of the last change of a run."""
    asked = (
        select(func.max(col(TurnRow.created_at))).where(col(TurnRow.run) == row.id),
        select(func.max(col(CallRow.ended_at)), func.max(col(CallRow.held_seen))).where(
            col(CallRow.run) == row.id
        ),
        select(
            func.max(col(StepRow.held_seen)), func.max(col(StepRow.created_at))
        ).where(col(StepRow.run) == row.id),
        select(
            func.max(col(ApprovalRow.closed_at)), func.max(col(ApprovalRow.created_at))
        ).where(col(ApprovalRow.run) == row.id),
    )
    found = [
        one
        for query in asked
        for one in (await session.execute(query)).one()
        if one is not None
    ]
    return max([row.created_at, *found])


async def _undone(session: Tx, row: RunRow, set_now: Collection[str]) -> str | None:
    waiting = select(CallRow).where(
        col(CallRow.run) == row.id, col(CallRow.status) == "open"
    )
    open_calls = list((await session.execute(waiting)).scalars())
    for call in open_calls:
        if not await _waits(session, row, call, open_calls, set_now):
            return f"{call.tool} of turn {call.turn}"
    busy = {(call.turn - 1) // TURNS_PER_STEP + 1 for call in open_calls}
    query = select(StepRow).where(col(StepRow.run) == row.id)
    steps = list((await session.execute(query)).scalars())
    if not steps and row.status == "stopped":
        return None if _stands(row.stopped_by, set_now, now=session.now) else THE_END
    for step in steps:
        is_open = step.output is None or step.held_by is not None
        if (
            is_open
            and step.step not in busy
            and not _stands(step.held_by, set_now, now=session.now)
        ):
            return THE_END if step.output is not None else "its next turn"
    return None


async def _waits(
    session: Tx,
    row: RunRow,
    call: CallRow,
    open_calls: Collection[CallRow],
    set_now: Collection[str],
) -> bool:
    """Tell whether an open call waits for what is still to come."""
    if call.held_by is not None:
        return _stands(call.held_by, set_now, now=session.now)
    effect = await session.get(EffectRow, keys.effect_key(call))
    if effect is not None and effect.status == "unknown":
        return True
    approval = await revisions.latest_approval(session, call)
    if approval is not None and approval.status == "pending":
        return approval.answer_by > session.now
    undo = approval.undo_until if approval is not None else None
    if undo is not None and undo > session.now:
        return True
    release = await releases.load(session, row.release)
    is_last = release.tool(call.tool).audience == "customer"
    return is_last and any(
        one.turn == call.turn
        and one.index != call.index
        and one.authority != "read_only"
        and release.tool(one.tool).audience != "customer"
        for one in open_calls
    )


def _stands(by: str | None, set_now: Collection[str], *, now: datetime) -> bool:
    """Tell whether a hold is still in force; the run is not paused."""
    found = hold.parse(by)
    if found is None or found.kind == "pause":
        return False
    if found.kind == "switch":
        return found.name in set_now
    # The budget of a past day holds nothing.
    try:
        return not BudgetScope.parse(found.name).is_over(now)
    except InvalidValue:
        # Not a text of ours: one row that somebody changed must not stop the others.
        return True
