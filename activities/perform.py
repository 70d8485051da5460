"""The activity `perform`: carries out one action, or says why not (P1, P2)."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from pydantic import JsonValue
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from keyturn.activities import outcome
from keyturn.activities.guard import OUTAGES, Guard, again, fault
from keyturn.activities.interface import ActResult, CallInput
from keyturn.activities.retry import keep_trying
from keyturn.activities.toolbox import Toolbox, as_read_by_model, notice_of
from keyturn.activities.watch import Watch
from keyturn.orchestrator.rules.contract.connector import Deeds
from keyturn.orchestrator.rules.contract.tool import ToolError
from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.rules.status import EffectStatus
from keyturn.orchestrator.rules.text import model_notices
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.effects import lease, send
from keyturn.orchestrator.store.effects.send import Recorded
from keyturn.orchestrator.store.ledger import effects, keys
from keyturn.orchestrator.store.ledger.effects import (
    CallRef,
    Facts,
    Grant,
    LeaseAnswer,
    Outcome,
)
from keyturn.orchestrator.store.releases.trust import Trust
from keyturn.orchestrator.store.runs import calls, faults
from keyturn.orchestrator.store.runs.calls import CallView
from keyturn.orchestrator.store.tables import EffectRow

# After this time only the connector knows the outcome: it is unknown.
CONNECTOR_TIMEOUT = timedelta(seconds=10)
STOOD_STILL = "the worker stood still before it sent, until its lease was nearly over"
# How long a receipt waits for an unavailable store; the activity has five minutes.
RECORD_WITHIN = timedelta(minutes=4)
# A service that facts are read from may be unavailable for some minutes.
OUTAGE_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, *[10.0] * 15)
# A permanent failure that is left to a person is checked again at intervals: the
# worker's code may have been repaired.
LATER = timedelta(minutes=15)
# An effect has one of these when another attempt than the ending one has its lease.
TAKEN_OVER: frozenset[EffectStatus] = frozenset({"leased", "sending"})
# Between the tries of a look-up whose service is unavailable.
LOOK_UP_PAUSE_S = 5.0
# After a look-up that found nothing, and proved nothing.
LOOK_AGAIN_S = 1.0


@dataclass(frozen=True)
class Perform:
    """Carries out actions; runs on the effect worker alone."""

    store: Store
    trust: Trust
    toolbox: Toolbox
    holder: str
    guard: Guard
    watch: Watch = field(default_factory=Watch)

    @activity.defn(name="perform")
    async def __call__(self, wanted: CallInput) -> ActResult:
        """Return the outcome of the action, or until when it waits."""
        beating = asyncio.create_task(_heartbeat())
        try:
            return await self._perform(wanted)
        finally:
            beating.cancel()

    async def _perform(self, wanted: CallInput) -> ActResult:
        return await self.guard.run(
            wanted.run,
            faults.call_place(wanted.turn, wanted.index),
            lambda: self._attempt(wanted),
            lambda: self._give_up(wanted),
        )

    async def _give_up(self, wanted: CallInput) -> ActResult:
        """End a call whose code fails for good; unknown if it may have been sent."""
        try:
            answer = await self._crash(wanted)
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 already shown; the workflow tries again later
            # The record accepts no end, so the call stays open, visible to people.
            activity.logger.exception("giving up %s failed", _ref(wanted))
            return ActResult(kind="not_before", until=_later())
        if answer.kind == "busy":
            raise again("Busy", 1.0)
        until = _later() if answer.kind == "unknown" else answer.until
        return ActResult.model_validate({"kind": answer.kind, "until": until})

    async def _crash(self, wanted: CallInput) -> LeaseAnswer:
        view = await calls.load(self.store, wanted.run, wanted.turn, wanted.index)
        notice = model_notices.call_crashed(tool=view.call.tool, call=view.id)
        return await lease.give_up(
            self.store,
            _ref(wanted),
            revision=view.call.revision,
            notice=notice,
            status="crashed",
        )

    async def _attempt(self, wanted: CallInput) -> ActResult:
        # Each attempt is its own holder: a retry never inherits a lease.
        holder = f"{self.holder}/{uuid4().hex}"
        while True:
            view = await calls.load(self.store, wanted.run, wanted.turn, wanted.index)
            if view.effect is not None and view.effect.sending_at is not None:
                self.watch.note(view.effect.key, view.effect.attempt)
            answer = await self._lease(view, wanted, holder)
            if answer.kind == "busy":
                await asyncio.sleep(0.5)
                continue
            result = await self._answered(view, answer, holder)
            if result.kind != "unknown":
                self.watch.forget(keys.effect_key(view.call))
            place = faults.call_place(wanted.turn, wanted.index)
            if place in (view.run.failing or {}):
                await faults.heal(self.store, wanted.run, place)
            return result

    async def _answered(
        self, view: CallView, answer: LeaseAnswer, holder: str
    ) -> ActResult:
        if answer.kind == "unknown":
            return await self._reconcile(view)
        if answer.grant is None:
            return ActResult.model_validate(
                {"kind": answer.kind, "until": answer.until}
            )
        return await self._send(view, answer.grant, holder)

    async def _lease(
        self, view: CallView, wanted: CallInput, holder: str
    ) -> LeaseAnswer:
        ref = _ref(wanted)
        try:
            facts = await self._facts(view)
        except ToolError as error:
            return await lease.give_up(
                self.store, ref, revision=view.call.revision, notice=notice_of(error)
            )
        return await lease.lease(self.store, self.trust, ref, facts, holder=holder)

    async def _facts(self, view: CallView) -> Facts:
        """Read the facts again, unless the action itself may have changed them."""
        if view.effect is not None and view.effect.sending_at is not None:
            return effects.facts_of(view.effect, view.call)
        context = self.toolbox.context(view.run, view.id)
        preview, money = await self.toolbox.read(
            view.release.tool(view.call.tool),
            view.arguments,
            context,
            never_sees=view.release.never_sees,
        )
        return Facts(
            revision=view.call.revision,
            arguments=view.arguments,
            preview=preview,
            money=money,
        )

    async def _send(self, view: CallView, grant: Grant, holder: str) -> ActResult:
        # Counted from before that check: the lease lasts longer, even after a freeze.
        until_s = _clock_s() + CONNECTOR_TIMEOUT.total_seconds()
        self.watch.note(grant.key, grant.attempt)
        may = await send.begin(
            self.store, grant, holder=holder, within=CONNECTOR_TIMEOUT
        )
        if not may.may_send:
            # The next attempt reads from the ledger who took the lease.
            raise ApplicationError(
                "Not sent: the lease was lost.",
                type="LeaseLost",
                category=ApplicationErrorCategory.BENIGN,
            )
        found = await self._call(view, grant, until_s=until_s)
        recorded = await self._record(view, grant, found)
        if recorded.until is not None:
            return ActResult(kind="not_before", until=recorded.until)
        if recorded.status == "unknown":
            return await self._reconcile(view)
        if recorded.status in TAKEN_OVER:
            # Another attempt has the lease by now, and reports the outcome.
            raise again("TakenOver", 1.0)
        return ActResult.model_validate({"kind": recorded.status})

    async def _record(self, view: CallView, grant: Grant, found: Outcome) -> Recorded:
        """Record the outcome; one that the record does not accept is unknown."""
        try:
            return await self._save(grant, found)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 shown on the run, and a person settles the effect
            activity.logger.exception("the outcome of %s cannot be recorded", grant.key)
            words = (
                f"it was sent, and what came of it ({found.kind}) cannot be recorded"
            )
            recorded = await self._save(grant, Outcome(kind="unknown", words=words))
            place = faults.call_place(view.call.turn, view.call.index)
            await faults.note(self.store, view.run.id, fault(place, error))
            await faults.give_up(
                self.store, view.run.id, place, ends_run=False, alarms=True
            )
            return recorded

    async def _save(self, grant: Grant, found: Outcome) -> Recorded:
        return await keep_trying(
            lambda: send.record(self.store, grant, found), within=RECORD_WITHIN
        )

    async def _call(self, view: CallView, grant: Grant, *, until_s: float) -> Outcome:
        if _clock_s() >= until_s:
            return Outcome(kind="not_sent", words=STOOD_STILL)
        deeds, tool = Deeds(), view.call.tool
        context = self.toolbox.context(
            view.run, view.id, effect_key=grant.key, deeds=deeds
        )
        try:
            async with asyncio.timeout_at(until_s):
                receipt = await self.toolbox.carry_out(tool, grant.arguments, context)
            words, receipt = await as_read_by_model(receipt, view.release, tool)
        except Exception as error:  # noqa: BLE001 the outcome depends on the deeds, not on the exception
            return outcome.of_error(deeds, error)
        done = Outcome(kind="done", words=words, receipt=receipt)
        return outcome.of_result(deeds, done)

    async def _reconcile(self, view: CallView) -> ActResult:
        """Ask the tool's own look-up what happened; else leave it to a person."""
        effect = (
            await calls.load(self.store, view.run.id, view.call.turn, view.call.index)
        ).effect
        if not view.spec.has_reconcile or effect is None:
            return ActResult(kind="unknown")
        grant = Grant(
            key=effect.key, attempt=effect.attempt, arguments=effect.arguments
        )
        context = self.toolbox.context(view.run, view.id, effect_key=effect.key)
        # Read before the look-up: one that began too early proves nothing, however
        # long it took.
        until = await self._absent_until(effect)
        try:
            found = await self.toolbox.reconcile(
                view.call.tool, effect.arguments, context
            )
        except OUTAGES as error:
            # The look-up is unavailable too; it is retried, and people see the task.
            activity.logger.warning("reconcile of %s failed: %s", effect.key, error)
            raise again(type(error).__name__, LOOK_UP_PAUSE_S) from None
        came_of_it = await self._looked_up(view, found)
        if found is None and until is not None:
            # If Temporal's clock is ahead of the record's, it would ask without end.
            await asyncio.sleep(LOOK_AGAIN_S)
            return ActResult(kind="unknown", until=until)
        recorded = await send.record(
            self.store, grant, came_of_it, recorded_by="reconcile"
        )
        return ActResult.model_validate({"kind": recorded.status})

    async def _absent_until(self, effect: EffectRow) -> datetime | None:
        """Return until when an empty look-up proves nothing; None: it is proof.

        By the record's clock, and by a clock of this process that nobody sets.
        """
        span = CONNECTOR_TIMEOUT + effects.LEASE + send.SETTLED
        left = self.watch.left(effect.key, effect.attempt, of=span)
        return await send.absent_until(self.store, effect.key, left=left)

    async def _looked_up(
        self, view: CallView, found: dict[str, JsonValue] | None
    ) -> Outcome:
        if found is None:
            absent = model_notices.call_absent()
            return Outcome(kind="failed", words=absent.words, notice=absent)
        words, receipt = await as_read_by_model(found, view.release, view.call.tool)
        return Outcome(kind="done", words=words, receipt=receipt)


def _ref(wanted: CallInput) -> CallRef:
    return CallRef(run=wanted.run, turn=wanted.turn, index=wanted.index)


def _clock_s() -> float:
    return asyncio.get_running_loop().time()


def _later() -> datetime:
    return datetime.now(UTC) + LATER


async def _heartbeat() -> None:
    while True:
        # The timeout counts from the start too: a quick call needs no heartbeat.
        await asyncio.sleep(1)
        activity.heartbeat()
