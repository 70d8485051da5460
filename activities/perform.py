"""The activity `perform`: carries out one action, or says why not (P1, P2)."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from pydantic import JsonValue
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities import outcome
from activities.interface import ActResult, CallInput
from activities.patience import keep_trying
from activities.toolbox import Toolbox, told
from orchestrator.binding import Verifier
from orchestrator.connector import Deeds
from orchestrator.errors import StoreUnavailable
from orchestrator.store import calls, leasing, ledger, sending
from orchestrator.store.calls import CallView
from orchestrator.store.engine import Store
from orchestrator.store.ledger import CallRef, Facts, Grant, LeaseAnswer, Outcome
from orchestrator.tool import ToolError

# A connector that takes longer has an outcome that only it knows: unknown.
CONNECTOR_TIMEOUT = timedelta(seconds=10)
# How long a receipt waits for a store that is away; the activity has five minutes.
RECORD_WITHIN = timedelta(minutes=4)


@dataclass(frozen=True)
class Perform:
    """Carries out actions; runs on the effect worker alone."""

    store: Store
    verifier: Verifier
    toolbox: Toolbox
    holder: str
    # Attempts to read the facts before the call is given up: some minutes.
    patience: int = 20

    @activity.defn(name="perform")
    async def __call__(self, wanted: CallInput) -> ActResult:
        """Return what became of the action, or until when it waits."""
        beating = asyncio.create_task(_heartbeat())
        try:
            return await self._perform(wanted)
        finally:
            beating.cancel()

    async def _perform(self, wanted: CallInput) -> ActResult:
        # Each attempt is a holder of its own: a retry never inherits a lease.
        holder = f"{self.holder}/{uuid4().hex}"
        while True:
            view = await calls.load(self.store, wanted.run, wanted.turn, wanted.index)
            answer = await self._lease(view, wanted, holder)
            if answer.kind == "busy":
                await asyncio.sleep(0.5)
                continue
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
        ref = CallRef(run=wanted.run, turn=wanted.turn, index=wanted.index)
        try:
            facts = await self._facts(view)
        except ToolError as error:
            return await leasing.give_up(
                self.store, ref, revision=view.call.revision, words=str(error)
            )
        except StoreUnavailable:
            raise
        except Exception:
            if activity.info().attempt < self.patience:
                raise
            activity.logger.exception("the facts of %s cannot be read", view.id)
            words = f"{view.call.tool} was not done: its facts cannot be read now."
            return await leasing.give_up(
                self.store,
                ref,
                revision=view.call.revision,
                words=words,
                status="crashed",
            )
        return await leasing.lease(self.store, self.verifier, ref, facts, holder=holder)

    async def _facts(self, view: CallView) -> Facts:
        """Read the facts again, but for what may have changed them itself."""
        if view.effect is not None and view.effect.sending_at is not None:
            return ledger.facts_of(view.effect, view.call)
        context = self.toolbox.context(view.run, view.id)
        preview, money = await self.toolbox.read(
            view.call.tool,
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
        may = await sending.begin(
            self.store, grant, holder=holder, within=CONNECTOR_TIMEOUT
        )
        if not may.may_send:
            # Whatever took the lease is read from the ledger by the next attempt.
            raise ApplicationError("Not sent: the lease was lost.", type="LeaseLost")
        found = await self._call(view, grant)
        recorded = await keep_trying(
            lambda: sending.record(self.store, grant, found), within=RECORD_WITHIN
        )
        if recorded.until is not None:
            return ActResult(kind="not_before", until=recorded.until)
        if recorded.status == "unknown":
            return await self._reconcile(view)
        return ActResult.model_validate({"kind": recorded.status})

    async def _call(self, view: CallView, grant: Grant) -> Outcome:
        deeds, tool = Deeds(), view.call.tool
        context = self.toolbox.context(
            view.run, view.id, effect_key=grant.key, deeds=deeds
        )
        try:
            async with asyncio.timeout(CONNECTOR_TIMEOUT.total_seconds()):
                receipt = await self.toolbox.carry_out(tool, grant.arguments, context)
            words, receipt = await told(receipt, view.release, tool)
        except Exception as error:  # noqa: BLE001 what is known decides, whatever it was
            return outcome.of_error(deeds, error)
        done = Outcome(kind="done", words=words, receipt=receipt)
        return outcome.of_result(deeds, done)

    async def _reconcile(self, view: CallView) -> ActResult:
        """Ask the tool's own look-up what happened; else it is a person's task."""
        effect = (
            await calls.load(self.store, view.run.id, view.call.turn, view.call.index)
        ).effect
        if not view.spec.has_reconcile or effect is None:
            return ActResult(kind="unknown")
        grant = Grant(
            key=effect.key, attempt=effect.attempt, arguments=effect.arguments
        )
        context = self.toolbox.context(view.run, view.id, effect_key=effect.key)
        # Asked before the look-up: one that began too early proves nothing, however
        # long it took.
        until = await sending.absent_until(self.store, effect.key)
        try:
            found = await self.toolbox.reconcile(
                view.call.tool, effect.arguments, context
            )
        except Exception as error:
            # The look-up is away too; it is asked again, and people see the task.
            activity.logger.warning("reconcile of %s failed: %s", effect.key, error)
            raise
        came_of_it = await self._looked_up(view, found)
        if found is None and until is not None:
            return ActResult(kind="unknown", until=until)
        recorded = await sending.record(
            self.store, grant, came_of_it, recorded_by="reconcile"
        )
        return ActResult.model_validate({"kind": recorded.status})

    async def _looked_up(
        self, view: CallView, found: dict[str, JsonValue] | None
    ) -> Outcome:
        if found is None:
            words = "It did not happen; nothing was changed."
            return Outcome(kind="failed", words=words)
        words, receipt = await told(found, view.release, view.call.tool)
        return Outcome(kind="done", words=words, receipt=receipt)


async def _heartbeat() -> None:
    while True:
        # The time-out counts from the start too: a quick one need not be told of.
        await asyncio.sleep(1)
        activity.heartbeat()
