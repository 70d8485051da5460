"""Sending: the last check before the socket, and recording the outcome (P2, P3)."""

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict
from sqlmodel import col, select

from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.status import ENDED_RUNS, OPEN_EFFECTS, EffectStatus
from keyturn.orchestrator.rules.text import storable
from keyturn.orchestrator.store import outbox
from keyturn.orchestrator.store.approvals import request, siblings
from keyturn.orchestrator.store.db import locks, open_rows
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.effects import alarms, compensation
from keyturn.orchestrator.store.ledger import outcome as ledger_outcome
from keyturn.orchestrator.store.ledger.effects import (
    LEASE,
    Grant,
    Outcome,
    audit_effect,
    is_honoured,
    mark_unknown,
)
from keyturn.orchestrator.store.ledger.outcome import Meaning
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import answers
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.status import effect as effect_status
from keyturn.orchestrator.store.switches import active
from keyturn.orchestrator.store.tables import CallRow, EffectRow, RunRow

# After a time-out a provider may work for a while before its books show it.
SETTLED = timedelta(seconds=15)


class Sending(BaseModel):
    """Whether this holder may call the connector now, and why not."""

    model_config = ConfigDict(frozen=True)

    may_send: bool
    why: str = ""


async def begin(
    store: Store, grant: Grant, *, holder: str, within: timedelta
) -> Sending:
    """Check lease, switches and clock once more and mark the effect as sending.

    `within` is the connector's time-out: the lease outlives it by 5 s.
    """
    async with store.write(first=True) as session:
        await session.share_barrier()
        effect = await session.get(EffectRow, grant.key)
        if effect is None:
            return Sending(may_send=False, why="there is no such effect")
        run = await run_lookup.lock(session, effect.run)
        await locks.refresh_effect(session, effect)
        now = await session.read_clock()
        why = await _why_not_send(session, run, effect, grant, holder=holder)
        if why:
            return Sending(may_send=False, why=why)
        # Until it arrives: a request may take as long as the connector waits.
        arrives = now + within
        if effect.sending_at is not None and not is_honoured(effect, now=arrives):
            why = "the provider no longer honours its key"
            mark_unknown(session, run, effect, error=why)
            return Sending(may_send=False, why=why)
        effect_status.move(effect, "sending")
        effect.sending_at = effect.sending_at or now
        effect.lease_until = now + within + LEASE
        return Sending(may_send=True)


async def _why_not_send(
    session: Tx, run: RunRow, effect: EffectRow, grant: Grant, *, holder: str
) -> str | None:
    if effect.status != "leased" or effect.attempt != grant.attempt:
        return f"the effect is {effect.status}: {effect.error or 'taken over'}"
    if effect.holder != holder or effect.lease_until <= session.now:
        return "the lease was lost"
    if run.paused_by is not None or run.cancel_reason is not None:
        return "the run was paused or cancelled"
    if run.status in ENDED_RUNS:
        return f"the run is {run.status}"
    target = active.tool_targets(
        tenant=effect.tenant,
        workflow=effect.workflow,
        tool=effect.tool,
        corpora=effect.corpora,
    )
    set_now = await active.active(session)
    off = hold.disabling(set_now, target)
    found = hold.by_switch(off.id) if off else hold.held(run, set_now, target)
    if found is not None:
        return f"{found} holds it"
    # The effect that it takes back or describes may have been reopened since the lease.
    return await compensation.why_not(session, run) or await _why_untrue(
        session, run, effect
    )


async def _why_untrue(session: Tx, run: RunRow, effect: EffectRow) -> str | None:
    call = await session.get(CallRow, (effect.run, effect.turn, effect.index))
    if call is None:
        return None
    release = await releases.load(session, run.release)
    because = await siblings.why_untrue(session, call, release)
    if because is None and await siblings.is_early(session, call, release):
        return "an action that it mentions is not settled"
    return because


class Recorded(BaseModel):
    """The effect's status now; `until`: it is tried again then, and not before."""

    model_config = ConfigDict(frozen=True)

    status: EffectStatus
    until: datetime | None = None


async def record(
    store: Store, grant: Grant, outcome: Outcome, *, recorded_by: str | None = None
) -> Recorded:
    """Record an attempt's outcome; a late receipt still confirms an unknown effect.

    With `recorded_by` it is the result of a look-up, which settles the effect.
    """
    async with store.write(first=True) as session:
        effect = await session.get(EffectRow, grant.key)
        if effect is None:
            raise NotFound(kind="effect", name=grant.key)
        first = await compensation.lock_first(session, effect.run)
        run = await run_lookup.lock(session, effect.run)
        await locks.refresh_effect(session, effect)
        now = await session.read_clock()
        _save_receipt(session, effect, outcome)
        if not _is_news(effect, grant, outcome):
            return Recorded(status=effect.status)
        is_over = run.status in ENDED_RUNS
        meant = (
            ledger_outcome.settled(outcome)
            if recorded_by
            else ledger_outcome.meaning(
                effect, grant, outcome, is_over=is_over, now=now
            )
        )
        if effect.status != "sending" and meant.kind != "unknown":
            # Those who wait for this outcome were told that it is unknown.
            outbox.add(session, "wake", run.id, at=now)
        if outcome.kind == "not_sent":
            effect.put_off_since = effect.put_off_since or now
        was = effect.status
        await apply(session, run, effect, meant)
        if was == "failed" and effect.status == "done":
            await alarms.acted_after_all(session, effect)
            await session.flush()
            await siblings.void_untrue(session, run)
        if first is not None:
            await siblings.look_again(session, first)
        effect.recorded_by = recorded_by or effect.recorded_by
        if outcome.alarm is not None:
            await alarms.sound(session, effect, outcome)
        return Recorded(status=effect.status, until=meant.until)


def _save_receipt(session: Tx, effect: EffectRow, outcome: Outcome) -> None:
    """Keep the receipt of an effect a person recorded as done, with their words."""
    is_receipt = outcome.kind == "done" and outcome.receipt is not None
    was_sent = effect.status == "done" and effect.sending_at is not None
    if is_receipt and was_sent and effect.receipt is None:
        effect.receipt = outcome.receipt
        audit_effect(session, effect, "effect.receipt")


def _is_news(effect: EffectRow, grant: Grant, outcome: Outcome) -> bool:
    """Tell whether an attempt's outcome says more than the record does."""
    if effect.later is not None:
        # It was done, and a person has recorded its later outcome.
        return False
    if outcome.kind == "done" and effect.sending_at is not None:
        # All attempts carry one key, so a receipt of any of them is the effect's, even
        # while another is under way, or after a person concluded that it never
        # happened.
        return effect.status in (*OPEN_EFFECTS, "failed")
    is_waited_for = effect.status in ("sending", "unknown")
    return is_waited_for and effect.attempt == grant.attempt


async def give_to_people(store: Store) -> int:
    """Leave to people what a dead worker was sending for a run that has ended.

    No other attempt follows there, which would find it. Returns how many there were;
    any process may do it.
    """
    async with store.read() as session:
        query = (
            select(EffectRow.key)
            .join(RunRow, col(RunRow.id) == col(EffectRow.run))
            .where(
                open_rows.under_way(),
                col(EffectRow.sending_at).is_not(None),
                col(EffectRow.lease_until) < await session.read_clock(),
                col(RunRow.status).in_(ENDED_RUNS),
            )
        )
        dead = list((await session.execute(query)).scalars())
    return sum([await _give_to_people(store, key) for key in dead])


async def _give_to_people(store: Store, key: str) -> bool:
    async with store.write() as session:
        effect = await session.get(EffectRow, key)
        if effect is None:
            return False
        run = await run_lookup.lock(session, effect.run)
        await locks.refresh_effect(session, effect)
        now = await session.read_clock()
        if effect.status not in ("leased", "sending") or effect.lease_until >= now:
            # Its outcome arrived since it was read.
            return False
        why = "the worker died while it was sending, and the run has ended"
        mark_unknown(session, run, effect, error=why)
        return True


async def absent_until(
    store: Store, key: str, *, left: timedelta | None = None
) -> datetime | None:
    """Return until when a look-up that finds nothing proves nothing; None: it does.

    The last request may still be on its way, or the provider may still work on it.
    `left` is the minimum time still to wait.
    """
    async with store.read() as session:
        effect = await session.get(EffectRow, key)
        if effect is None:
            raise NotFound(kind="effect", name=key)
        now = await session.read_clock()
        until = unsettled_until(effect, now=now)
        return until if left is None else max(until or now, now + left)


def unsettled_until(effect: EffectRow, *, now: datetime) -> datetime | None:
    """Return until when the provider may still act on a request; None once settled."""
    settled = effect.lease_until + SETTLED
    return settled if settled > now else None


async def apply(session: Tx, run: RunRow, effect: EffectRow, meant: Meaning) -> None:
    """Write an attempt's outcome into the effect, its call and its run."""
    call = await locks.call(session, effect.run, effect.turn, effect.index)
    words = storable.text(meant.words)
    if meant.is_unsent:
        effect.sending_at = None
    match meant.kind:
        case "unknown":
            if effect.status != "unknown":
                mark_unknown(session, run, effect, error=words)
            return
        case "again":
            effect_status.move(effect, "leased")
            effect.lease_until, effect.error = session.now, words
            audit_effect(session, effect, "effect.put_off")
            return
        case "done" | "failed":
            effect_status.move(effect, meant.kind)
            effect.ended_at = session.now
            effect.receipt = meant.receipt
            effect.error = words if meant.kind == "failed" else None
    if call is not None and call.status == "open":
        answers.end_call(session, call, meant.kind, meant.answer())
        release = await releases.load(session, run.release)
        await siblings.void_messages(session, release, call)
        await request.show_waiting(session, run)
    audit_effect(session, effect, f"effect.{meant.kind}")
