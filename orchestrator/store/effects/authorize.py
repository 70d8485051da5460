"""Authorization: policy's verdict on a call now, and whether its approval allows it."""

from collections.abc import Sequence
from dataclasses import dataclass

from keyturn.orchestrator.rules.policy.rules import (
    REPEATED,
    Verdict,
    is_stricter,
)
from keyturn.orchestrator.rules.policy.verdict import no_looser
from keyturn.orchestrator.rules.status import OPEN_APPROVALS, UNDOABLE
from keyturn.orchestrator.rules.text import canonical, model_notices
from keyturn.orchestrator.store.approvals import deadlines, request
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.approvals import verdict as approval_verdict
from keyturn.orchestrator.store.effects import proof
from keyturn.orchestrator.store.effects.context import Case
from keyturn.orchestrator.store.ledger import keys, repeats
from keyturn.orchestrator.store.ledger.effects import Facts, LeaseAnswer
from keyturn.orchestrator.store.ledger.reach import Reach
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.releases.trust import Trust
from keyturn.orchestrator.store.runs import messages
from keyturn.orchestrator.store.status import run as run_status
from keyturn.orchestrator.store.tables import ApprovalRow

OTHER_FACTS = "the facts have changed since the edit was made"
DONE_SINCE = "an action of another run on the same subject was done since"


@dataclass(frozen=True)
class Judging:
    """Judges one case by the facts that were read just before."""

    case: Case
    trust: Trust
    facts: Facts

    async def verdict(self) -> Verdict:
        """Return the strictest of pinned, live and own policy, and switches (P11)."""
        return await approval_verdict.of(
            self.case.session, await self.proposed(), self.case.switches
        )

    async def proposed(self) -> approval_verdict.Proposed:
        """Return the action by the facts that were read, for both releases."""
        run, call = self.case.run, self.case.call
        _, live = await releases.live(self.case.session, run.workflow)
        return approval_verdict.Proposed(
            run=run,
            tool=call.tool,
            arguments=canonical.parse(self.facts.arguments),
            pinned=self.case.release,
            live=live,
            own=self.trust.own.get(run.workflow),
            money=self.facts.money,
            key=keys.effect_key(call),
            takes_back=self.case.takes_back(),
        )

    async def touched(self) -> Reach:
        """Return what the action touches, by the pinned release and the live one."""
        return await (await self.proposed()).touched(self.case.session)

    async def answer(
        self, approval: ApprovalRow, verdict: Verdict
    ) -> LeaseAnswer | None:
        """Answer if the approval does not carry this action; None if it does."""
        is_open = approval.status in OPEN_APPROVALS
        if is_open and await self._has_customer_written(approval):
            self.case.close(approval, "void", model_notices.customer_wrote())
        if approval.status == "approved" and self._is_edit_outdated(approval):
            # Nobody's yes is for these facts; an edit is not lost with it.
            return await self._ask_again(approval, verdict, OTHER_FACTS)
        if approval.status in UNDOABLE and self._may_be_undone(approval):
            run_status.move(self.case.run, "waiting")
            return LeaseAnswer(kind="not_before", until=approval.undo_until)
        return await self._settled(approval, verdict)

    async def _settled(
        self, approval: ApprovalRow, verdict: Verdict
    ) -> LeaseAnswer | None:
        if approval.status == "waiting":
            await self._offer(approval)
        match approval.status:
            case "pending":
                return await self._pending(approval, verdict)
            case "approved":
                return await self._approved(approval, verdict)
            case "rejected" | "changes":
                notice = await self.prover(approval, verdict).rejection()
                if notice is None:
                    invalid = model_notices.call_not_genuine()
                    return await self.case.end("refused", invalid)
                return await self.case.end("rejected", notice)
            case "expired":
                return await self._expired()
            case _:
                because = approval.closed_because or approval.status
                notice = model_notices.call_void(because=because)
                return await self.case.end("void", notice)

    async def _expired(self) -> LeaseAnswer:
        notice = model_notices.call_expired(tool=self.case.call.tool)
        return await self.case.end("expired", notice)

    async def _has_customer_written(self, approval: ApprovalRow) -> bool:
        given = await approval_lookup.decisions(self.case.session, approval.id)
        since = min((one.at for one in given), default=None)
        return await messages.has_customer_written(
            self.case.session, self.case.call, since=since
        )

    def _may_be_undone(self, approval: ApprovalRow) -> bool:
        """Tell whether the undo window is open: undo and start contend for this row."""
        until = approval.undo_until
        return until is not None and self.case.session.now < until

    async def _pending(self, approval: ApprovalRow, verdict: Verdict) -> LeaseAnswer:
        if approval.binding is None:
            if not await self._prepare(approval):
                return await self._ask_again(approval, verdict, OTHER_FACTS)
            self._give_time(approval)
        elif approval.answer_by <= self.case.session.now and not deadlines.escalate(
            self.case.session, approval
        ):
            self.case.close(approval, "expired", "nobody answered in time")
            return await self._expired()
        if is_stricter(verdict, proof.asked(approval)):
            # P11: a stricter policy applies also to what already waits.
            because = "the policy became stricter"
            return await self._ask_again(approval, verdict, because)
        run_status.move(self.case.run, "waiting")
        return LeaseAnswer(kind="waiting", until=approval.answer_by)

    def _give_time(self, approval: ApprovalRow) -> None:
        """Give people the full time again if it was over before they could answer."""
        if approval.answer_by <= self.case.session.now:
            approval.answer_by = self.case.session.now + proof.asked(approval).within
            request.warn_later(approval, now=self.case.session.now)

    async def _offer(self, approval: ApprovalRow) -> None:
        """Offer an approval that waited for its siblings, on the facts after them."""
        approval.binding = None
        await self._prepare(approval)
        request.offer(self.case.session, approval)

    async def _prepare(self, approval: ApprovalRow) -> bool:
        """Fill in the facts of an edited action, so that it can be decided.

        Returns False if its editor approved it with other facts, or other money.
        """
        bound = request.bind(
            self.case.run, self.case.call, self.case.release, self.facts.preview
        )
        given = await approval_lookup.decisions(self.case.session, approval.id)
        is_as_assumed = all(one.effective == bound for one in given)
        if given and not (is_as_assumed and self._moves_what_was_shown(approval)):
            return False
        money = self.facts.money
        approval.preview, approval.binding = self.facts.preview, bound
        approval.amount = money.amount if money else None
        approval.currency = money.currency if money else None
        return True

    def _is_edit_outdated(self, approval: ApprovalRow) -> bool:
        """Tell whether an edit's facts differ from those it was approved on."""
        if approval.edited_by is None:
            return False
        is_same = approval.preview == self.facts.preview
        return not (is_same and self._moves_what_was_shown(approval))

    def _not_by(self, approval: ApprovalRow) -> list[str]:
        """Return who may not approve it again: its editor, if the money rose (P10)."""
        found, editor = list(approval.not_by), approval.edited_by
        if editor is None or editor in found or self._moves_no_more_than(approval):
            return found
        return [*found, editor]

    def _moves_no_more_than(self, approval: ApprovalRow) -> bool:
        money = self.facts.money
        if money is None or approval.amount is None:
            return self._moves_what_was_shown(approval)
        is_same = money.currency == approval.currency
        return is_same and money.amount <= approval.amount

    async def _approved(
        self, approval: ApprovalRow, verdict: Verdict
    ) -> LeaseAnswer | None:
        prover = self.prover(approval, verdict)
        because = await self._why_outdated(prover)
        if because is not None:
            return await self._ask_again(approval, verdict, because)
        if approval.preview != self.facts.preview:
            return await self._changed(approval)
        if await self._was_done_since(approval):
            # P2: those who said yes did not know of it; the next approver is shown it.
            return await self._ask_again(approval, verdict, DONE_SINCE, rule=REPEATED)
        bound = approval.effective_binding or approval.binding or ""
        now = request.bind(
            self.case.run, self.case.call, self.case.release, self.facts.preview
        )
        if bound != now:
            return await self._refuse(approval, "the approval is for something else")
        if not self._moves_what_was_shown(approval):
            return await self._changed(approval)
        why = await prover.why_unproven(bound)
        return await self._refuse(approval, why) if why else None

    async def _why_outdated(self, prover: proof.Prover) -> str | None:
        if await prover.has_run_out():
            return "the approval had expired"
        if is_stricter(prover.verdict, proof.asked(prover.approval)):
            return "the policy became stricter"
        return None

    async def _was_done_since(self, approval: ApprovalRow) -> bool:
        """Tell if another run's action on the subject ended after the first yes."""
        given = await approval_lookup.decisions(self.case.session, approval.id)
        if not given:
            return False
        return await repeats.was_done_since(
            self.case.session,
            await self.touched(),
            min(one.at for one in given),
            but_run=self.case.run.id,
        )

    async def _changed(self, approval: ApprovalRow) -> LeaseAnswer:
        because = "the facts changed after it was approved"
        self.case.close(approval, "void", because)
        notice = model_notices.call_facts_changed(because=because)
        return await self.case.end("void", notice)

    def _moves_what_was_shown(self, approval: ApprovalRow) -> bool:
        """Tell whether the money is as people saw it: code may compute it again."""
        money = self.facts.money
        shown = approval.amount, approval.currency
        return shown == ((money.amount, money.currency) if money else (None, None))

    def prover(self, approval: ApprovalRow, verdict: Verdict) -> proof.Prover:
        """Return the prover of this approval's decisions."""
        return proof.Prover(
            session=self.case.session,
            verifier=self.trust.verifier,
            run=self.case.run,
            call=self.case.call,
            spec=self.case.spec,
            approval=approval,
            verdict=verdict,
        )

    async def _refuse(self, approval: ApprovalRow, why: str) -> LeaseAnswer:
        """Record a refusal: a person or a program tried to act without authority."""
        self.case.close(approval, "void", why)
        self.case.audit("effect.refused", {"why": why, "approval": approval.id})
        return await self.case.end("refused", model_notices.call_refused(why=why))

    async def ask(
        self,
        verdict: Verdict,
        *,
        reason: str = "",
        not_by: Sequence[str] = (),
        after: ApprovalRow | None = None,
    ) -> LeaseAnswer:
        """Request approval of this revision of the call."""
        await self.case.free("it waits for approval")
        row = await request.ask(
            self.case.session,
            self.case.run,
            self.case.call,
            self.case.release,
            request.Question(
                verdict,
                preview=self.facts.preview,
                money=self.facts.money,
                reason=reason,
                not_by=not_by,
                barred=_barred(after, not_by),
            ),
        )
        row.edited_by = after.edited_by if after is not None else None
        self.case.call.gate = "wait"
        run_status.move(self.case.run, "waiting")
        return LeaseAnswer(kind="waiting", until=row.answer_by)

    async def _ask_again(
        self,
        approval: ApprovalRow,
        verdict: Verdict,
        because: str,
        *,
        rule: str | None = None,
    ) -> LeaseAnswer:
        """Request the same action as a new revision; never dropped silently (P9).

        `rule` gives the reason if it is not one of the policy's own.
        """
        not_by = self._not_by(approval)
        self.case.close(approval, "void", because)
        await self.case.free(because)
        self.case.call.revision += 1
        wanted = no_looser(proof.asked(approval), verdict)
        return await self.ask(
            wanted.model_copy(update={"rule": rule or wanted.rule}),
            reason=approval.reason,
            not_by=not_by,
            after=approval,
        )


def _barred(after: ApprovalRow | None, not_by: Sequence[str]) -> dict[str, str]:
    """Return why people may not approve; those not barred before had edited it."""
    if after is None:
        return {}
    edited = {one: "edited" for one in not_by if one not in after.not_by}
    return {**(after.barred or {}), **edited}
