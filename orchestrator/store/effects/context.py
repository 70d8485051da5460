"""The context of a call: its rows, locked, and how it is closed without an effect."""

from dataclasses import dataclass

from pydantic import JsonValue

from keyturn.orchestrator.rules.authority import hold as authority_hold
from keyturn.orchestrator.rules.authority.hold import Hold
from keyturn.orchestrator.rules.authority.switch import Switch, Target
from keyturn.orchestrator.rules.contract.release import Release, ToolSpec
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.policy import amendment
from keyturn.orchestrator.rules.status import OPEN_APPROVALS, ApprovalStatus, CallStatus
from keyturn.orchestrator.rules.text import canonical, model_notices
from keyturn.orchestrator.rules.text.model_notices import ModelNotice
from keyturn.orchestrator.store import holds
from keyturn.orchestrator.store.approvals import request, siblings
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db import locks
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.ledger import keys
from keyturn.orchestrator.store.ledger.effects import (
    ENDED,
    CallRef,
    LeaseAnswer,
    free,
    mark_unknown,
)
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import answers
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.switches import active
from keyturn.orchestrator.store.tables import ApprovalRow, CallRow, EffectRow, RunRow


@dataclass(frozen=True)
class Case:
    """One call as its transaction found it."""

    session: Tx
    run: RunRow
    call: CallRow
    effect: EffectRow | None
    release: Release
    spec: ToolSpec
    switches: list[Switch]

    def hold(self) -> Hold | None:
        """Return the pause or halt that holds the call."""
        return authority_hold.held(self.run, self.switches, self.target())

    def disabled(self) -> Hold | None:
        """Return what prevents this action from beginning, until it is lifted."""
        found = authority_hold.disabling(self.switches, self.target())
        if found is None:
            return None
        return authority_hold.by_switch(found.id, since=found.created_at)

    def off(self) -> ModelNotice | None:
        """Return what the model is told of an action that will never be done."""
        if authority_hold.is_over(self.run):
            return model_notices.call_run_ended()
        return None

    async def stand(self, found: Hold) -> LeaseAnswer:
        """Record what holds the call, release its lease, and wait for a signal."""
        await holds.hold_call(self.session, self.run, self.call, found)
        await self.free(f"stopped by {found}")
        return LeaseAnswer(kind="stopped")

    async def go_on(self) -> None:
        """Record that nothing holds the call."""
        await holds.free_call(self.session, self.run, self.call)
        await holds.settle(self.session, self.run, status="waiting")

    async def close_open_approval(self, status: ApprovalStatus, because: str) -> None:
        """Close the call's approval if it is pending or about to be used."""
        approval = await locks.latest_approval(self.session, self.call)
        if approval is not None and approval.status in OPEN_APPROVALS:
            self.close(approval, status, because)

    def close(
        self, approval: ApprovalRow, status: ApprovalStatus, because: str
    ) -> None:
        """Close an approval without a decision, with a reason."""
        request.close(self.session, approval, status=status, because=because)

    async def end(self, status: CallStatus, notice: ModelNotice) -> LeaseAnswer:
        """Give the call its answer; nothing of it was sent, and nothing stays open."""
        await self.close_open_approval("void", notice.words)
        await self.free(notice.words)
        answers.end_call(self.session, self.call, status, notice)
        await siblings.void_messages(self.session, self.release, self.call)
        await holds.settle(self.session, self.run)
        return LeaseAnswer(kind=ENDED[status])

    async def free(self, why: str) -> None:
        """Release the call's lease if it was never sent."""
        if self.effect is not None:
            await free(self.session, self.effect, why=why)

    def unknown(self, effect: EffectRow, why: str) -> LeaseAnswer:
        """Leave the outcome of the effect to a person."""
        mark_unknown(self.session, self.run, effect, error=why)
        return LeaseAnswer(kind="unknown")

    def takes_back(self) -> str | None:
        """Return the payment that this takes back, as recorded in the draft.

        An action that a person edited into another one counts as one of its own.
        """
        drafted, wanted = self.call.arguments, keys.effective(self.call)
        is_as_drafted = amendment.is_same_but_money(
            self.spec, canonical.parse(drafted), canonical.parse(wanted)
        )
        return self.run.compensates if is_as_drafted else None

    def target(self) -> Target:
        """Return the target that switches are matched with."""
        return active.tool_targets(
            tenant=self.run.tenant,
            workflow=self.run.workflow,
            tool=self.call.tool,
            corpora=self.spec.corpora,
        )

    def audit(self, kind: str, payload: dict[str, JsonValue]) -> None:
        """Record an event of the call's action in the audit log."""
        log.record(
            self.session,
            log.Entry(
                actor=f"run:{self.run.id}",
                kind=kind,
                tenant=self.run.tenant,
                run=self.run.id,
                subject=keys.effect_key(self.call),
                payload={"tool": self.call.tool, **payload},
            ),
            at=self.session.now,
        )


async def load(session: Tx, ref: CallRef) -> Case:
    """Lock the run, the call and its effect; return them with what affects them.

    Raises `NotFound` if the call does not exist.
    """
    run = await run_lookup.lock(session, ref.run)
    call = await locks.call(session, ref.run, ref.turn, ref.index)
    if call is None:
        raise NotFound(kind="call", name=f"{ref.run}:{ref.turn}.{ref.index}")
    effect = await locks.effect(session, keys.effect_key(call))
    release = await releases.load(session, run.release)
    await session.read_clock()
    return Case(
        session=session,
        run=run,
        call=call,
        effect=effect,
        release=release,
        spec=release.tool(call.tool),
        switches=await active.active(session),
    )
