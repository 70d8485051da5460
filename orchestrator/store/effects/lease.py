"""Leasing: the transaction that proves an effect's authority and records its start."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy.exc import IntegrityError

from keyturn.orchestrator.rules.policy.rules import is_stricter
from keyturn.orchestrator.rules.status import CallStatus
from keyturn.orchestrator.rules.text import model_notices
from keyturn.orchestrator.rules.text.model_notices import ModelNotice
from keyturn.orchestrator.store import holds
from keyturn.orchestrator.store.approvals import conflicts, siblings
from keyturn.orchestrator.store.db import locks
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.effects import compensation, context, proof, restore
from keyturn.orchestrator.store.effects.authorize import Judging
from keyturn.orchestrator.store.effects.context import Case
from keyturn.orchestrator.store.effects.grant import Granting, granted
from keyturn.orchestrator.store.integrity import forgery
from keyturn.orchestrator.store.ledger import keys, repeats
from keyturn.orchestrator.store.ledger.effects import (
    ENDED,
    LEASE,
    CallRef,
    Facts,
    LeaseAnswer,
    facts_of,
    is_honoured,
)
from keyturn.orchestrator.store.releases.trust import Trust
from keyturn.orchestrator.store.runs import messages
from keyturn.orchestrator.store.status import effect as effect_status
from keyturn.orchestrator.store.tables import ApprovalRow, EffectRow

# PostgreSQL's error class for broken constraints, from the SQL standard.
UNIQUE_VIOLATION = "23505"
# The facts may change: they wait no longer than this for a transaction.
FRESH_S = 5.0
# How soon a call without a genuine release is checked again.
LOOK_AGAIN = timedelta(seconds=30)


async def lease(
    store: Store, trust: Trust, ref: CallRef, facts: Facts, *, holder: str
) -> LeaseAnswer:
    """Prove the authority and record the effect's start in one transaction (P1)."""
    try:
        async with store.write(wait_s=FRESH_S) as session:
            await session.share_barrier()
            found = await context.load(session, ref)
            return await _Leasing(found, holder).answer(trust, facts)
    except IntegrityError as error:
        if not _is_twice(error):
            raise
        # A unique index refused: the same subject or call got an effect just now.
        return LeaseAnswer(kind="busy", until=None)


async def give_up(
    store: Store,
    ref: CallRef,
    *,
    revision: int,
    notice: ModelNotice,
    status: CallStatus = "failed",
) -> LeaseAnswer:
    """End a call whose facts cannot be read: its subject refuses, or does not answer.

    If an effect of it is under way, that effect's outcome is the answer. Facts of an
    earlier `revision` than a person's later edit do not apply to the edit. If the
    edit's own facts cannot be read, approval of what it replaced is requested again.
    """
    async with store.write() as session:
        await session.share_barrier()
        found = await context.load(session, ref)
        return await _Leasing(found, "").give_up(notice, status, revision=revision)


def _is_twice(error: IntegrityError) -> bool:
    """Tell whether a unique index refused, and no other constraint."""
    state = getattr(error.orig, "sqlstate", None)
    return state == UNIQUE_VIOLATION or "UNIQUE constraint" in str(error.orig)


class _Leasing:
    """One attempt to lease; each step answers, or leaves it to the next one."""

    def __init__(self, case: Case, holder: str) -> None:
        self._case = case
        self._holder = holder

    async def answer(self, trust: Trust, facts: Facts) -> LeaseAnswer:
        found = await self._open() or await self._untrusted(trust)
        if found is not None:
            return found
        effect = self._case.effect
        if effect is not None and effect.sending_at is not None:
            known = facts_of(effect, self._case.call)
            return await self._send_again(effect, Judging(self._case, trust, known))
        found = await _siblings(self._case)
        if found is not None:
            return found
        if _is_stale(self._case, facts):
            return LeaseAnswer(kind="busy")
        why = await compensation.why_not(self._case.session, self._case.run)
        if why is not None:
            notice = model_notices.compensation_void(because=why)
            return await self._case.end("void", notice)
        return await self._authorise(Judging(self._case, trust, facts))

    async def give_up(
        self, notice: ModelNotice, status: CallStatus, *, revision: int
    ) -> LeaseAnswer:
        found = await self._open()
        if found is not None:
            return found
        effect = self._case.effect
        if effect is not None and effect.sending_at is not None:
            return self._case.unknown(effect, "it may have been sent before it failed")
        if self._case.call.revision != revision:
            return LeaseAnswer(kind="busy")
        back = await restore.restore(self._case, notice.words)
        return back or await self._case.end(status, notice)

    async def _open(self) -> LeaseAnswer | None:
        """Answer if it is not this attempt's turn."""
        case = self._case
        if case.call.status != "open":
            return LeaseAnswer(kind=ENDED[case.call.status])
        if case.hold() is None and case.disabled() is None:
            await case.go_on()
        return self._earlier() or await self._held()

    def _earlier(self) -> LeaseAnswer | None:
        """Answer from what an earlier attempt left."""
        effect = self._case.effect
        if effect is None or effect.status == "refused":
            return None
        if effect.status == "unknown":
            return LeaseAnswer(kind="unknown")
        if (
            effect.lease_until > self._case.session.now
            and effect.holder != self._holder
        ):
            return LeaseAnswer(kind="busy", until=effect.lease_until)
        return None

    async def _held(self) -> LeaseAnswer | None:
        """Answer for a run or tool that is cancelled, paused or halted."""
        effect, off = self._case.effect, self._case.off()
        may_have_sent = effect is not None and effect.sending_at is not None
        if off is not None and not may_have_sent:
            return await self._case.end("refused", off)
        if off is not None and effect is not None:
            return self._case.unknown(
                effect, "it may have been sent before it was held"
            )
        found = self._case.hold()
        return None if found is None else await self._case.stand(found)

    async def _untrusted(self, trust: Trust) -> LeaseAnswer | None:
        """Hold a call if nobody put live a release that judges it; people are told."""
        case = self._case
        why = await trust.why_not(case.session, case.run)
        if why is None:
            return None
        await forgery.tell_release(case.session, case.run.workflow, why)
        return LeaseAnswer(kind="not_before", until=case.session.now + LOOK_AGAIN)

    async def _send_again(self, effect: EffectRow, judging: Judging) -> LeaseAnswer:
        """Grant another attempt under the same key, or leave the outcome unknown."""
        if self._case.disabled() is not None:
            return self._case.unknown(
                effect, "it may have been sent before it was disabled"
            )
        why = await _why_not_again(effect, judging)
        if why is not None:
            return self._case.unknown(effect, why)
        effect_status.move(effect, "leased")
        effect.attempt += 1
        effect.holder, effect.lease_until = self._holder, self._case.session.now + LEASE
        self._case.audit("effect.leased", {"binding": effect.binding, "again": True})
        return granted(effect)

    async def _authorise(self, judging: Judging) -> LeaseAnswer:
        case, judging = self._case, await _guarded(judging)
        facts, touched = judging.facts, await judging.touched()
        own = judging.trust.own.get(case.run.workflow)
        granting = Granting(case, facts, self._holder, touched, own)
        # Otherwise two small refunds judged at once would each count as the first.
        await repeats.lock_history(
            case.session, touched, has_money=facts.money is not None
        )
        approval = await locks.latest_approval(case.session, case.call)
        busy = await granting.busy()
        verdict = await judging.verdict()
        if verdict.kind == "deny":
            back = await restore.restore(case, f"not allowed: {verdict.rule}")
            if back is not None:
                return back
            await case.close_open_approval("void", verdict.rule)
            notice = model_notices.call_denied(why=verdict.words)
            return await case.end("denied", notice)
        if approval is None and verdict.kind == "allow":
            return await self._grant(granting, None, busy)
        if approval is None:
            not_by = await conflicts.steered_by(case.session, case.call, case.spec)
            return await judging.ask(verdict, not_by=not_by)
        found = await judging.answer(approval, verdict)
        if found is None:
            return await self._grant(granting, approval, busy)
        await holds.free_call(case.session, case.run, case.call)
        return found

    async def _grant(
        self, granting: Granting, approval: ApprovalRow | None, busy: ModelNotice | None
    ) -> LeaseAnswer:
        """Grant it, unless it is disabled; people's decisions stay valid until then."""
        disabled = self._case.disabled()
        if disabled is not None:
            return await self._case.stand(disabled)
        return await granting.grant(approval, busy=busy)


async def _guarded(judging: Judging) -> Judging:
    """Add the subject and the money that only the live release names."""
    proposed = await judging.proposed()
    call = judging.case.call
    call.subject = call.subject or proposed.subject()
    facts = judging.facts.model_copy(update={"money": proposed.moves()})
    return replace(judging, facts=facts)


async def _why_not_again(effect: EffectRow, judging: Judging) -> str | None:
    case = judging.case
    if not is_honoured(effect, now=case.session.now):
        return "the worker died while it was sending"
    gone = await compensation.why_not(case.session, case.run)
    gone = gone or await siblings.why_untrue(case.session, case.call, case.release)
    if gone is not None:
        return gone
    verdict = await judging.verdict()
    if effect.approval is None:
        return None if verdict.kind == "allow" else verdict.rule
    approval = await case.session.get(ApprovalRow, effect.approval)
    if approval is None or is_stricter(verdict, proof.asked(approval)):
        return "the policy became stricter while it was sent"
    return await judging.prover(approval, verdict).why_unproven(effect.binding)


async def _siblings(case: Case) -> LeaseAnswer | None:
    """Hold a message to the customer until the actions it describes are settled.

    A person's no applies at once, and so does what the customer wrote since.
    """
    is_message = siblings.speaks(case.release, case.call.tool)
    if not is_message or await siblings.is_answered(case.session, case.call):
        return None
    because = await siblings.why_untrue(case.session, case.call, case.release)
    if because is not None:
        await case.close_open_approval("void", because)
        notice = model_notices.message_void(because=because)
        return await case.end("void", notice)
    if not await siblings.is_early(case.session, case.call, case.release):
        return None
    if await messages.has_customer_written(case.session, case.call):
        # Without a person who is asked, the message would stay unread all that time.
        because = model_notices.customer_wrote()
        await case.close_open_approval("void", because)
        notice = model_notices.message_void(because=because)
        return await case.end("void", notice)
    return LeaseAnswer(kind="waiting")


def _is_stale(case: Case, facts: Facts) -> bool:
    """Tell whether the facts were read for an earlier revision."""
    is_other = facts.arguments != keys.effective(case.call)
    return is_other or facts.revision != case.call.revision
