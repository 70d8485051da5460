"""Proof that signed decisions carry an approval, at the moment of acting (P1)."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from keyturn.orchestrator.rules.authority import eligibility
from keyturn.orchestrator.rules.authority.binding import Grounds, Verifier
from keyturn.orchestrator.rules.authority.eligibility import Asked
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.contract.release import ToolSpec
from keyturn.orchestrator.rules.policy.rules import APPROVER_RANK, Verdict
from keyturn.orchestrator.rules.text import model_notices
from keyturn.orchestrator.rules.text.model_notices import ModelNotice
from keyturn.orchestrator.store import holds
from keyturn.orchestrator.store.approvals import conflicts
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.approvals.eligibility import (
    asked_of,
    person_of,
    who_agreed,
)
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.integrity import forgery
from keyturn.orchestrator.store.people import accounts
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    CallRow,
    DecisionRow,
    RunRow,
)


def asked(approval: ApprovalRow) -> Verdict:
    """Return the verdict under which people were asked."""
    return Verdict.model_validate(approval.verdict)


@dataclass(frozen=True)
class Prover:
    """Checks one approval against the signed decisions, not only against its row.

    `verdict` is the policy's current verdict: a row that requires less is not trusted.
    """

    session: Tx
    verifier: Verifier
    run: RunRow
    call: CallRow
    spec: ToolSpec
    approval: ApprovalRow
    verdict: Verdict

    async def has_run_out(self) -> bool:
        """Tell whether the approval has expired: its own time, or the week of a yes."""
        usable_until = self.approval.usable_until
        if usable_until is None or usable_until <= self.session.now:
            return True
        given = await approval_lookup.decisions(self.session, self.approval.id)
        return any(one.at + holds.LONGEST_USABLE <= self.session.now for one in given)

    async def why_unproven(self, bound: str) -> str | None:
        """Return why the decisions do not carry the binding `bound`, or None."""
        given = await approval_lookup.decisions(self.session, self.approval.id)
        steered = await conflicts.steered_by(self.session, self.call, self.spec)
        for one in given:
            untrue = self._why_untrue(one)
            if untrue is not None:
                await self._tell(untrue)
                return untrue
            # Conflicts are read again: no signature covers `not_by`.
            why = self._why_void(one, bound) or await self._why_not_by(one, steered)
            if why:
                return why
        agreed = who_agreed(self.approval, given)
        needed = max(self.approval.needed, self.verdict.approvers)
        if len(agreed) < needed:
            return f"{len(agreed)} of {needed} approvals were given"
        return None

    async def rejection(self) -> ModelNotice | None:
        """Return a rejection as the model reads it; None if it is not genuine."""
        given = await approval_lookup.decisions(self.session, self.approval.id)
        last = next((d for d in reversed(given) if d.decision != "approve"), None)
        if last is None:
            return None
        untrue = self._why_untrue(last)
        if untrue is not None:
            await self._tell(untrue)
            return None
        name, reason = last.person_name, last.reason or ""
        if last.decision == "change":
            return model_notices.call_changes(person=name, reason=reason)
        return model_notices.call_rejected(person=name, reason=reason)

    def _why_void(self, one: DecisionRow, bound: str) -> str | None:
        if one.decision != "approve" or one.effective != bound:
            return "a decision is about something else"
        if one.at > self.approval.answer_by:
            return "a decision came after the deadline"
        return None

    def _why_untrue(self, one: DecisionRow) -> str | None:
        """Return what was changed in the record after the decision was signed, or None."""
        said = approval_lookup.statement(one)
        if not self.verifier.is_genuine(said, one.signature):
            return "a decision's signature does not verify"
        # An earlier version did not sign them.
        return self._why_groundless(said.person, said.grounds) if said.grounds else None

    def _why_groundless(self, person: str, grounds: Grounds) -> str | None:
        if grounds.started_by != self.run.started_by:
            return "the person who started the run was changed after the decision"
        if not set(grounds.not_by) <= set(self.approval.not_by):
            return "the list of people who may not decide it was changed after the decision"
        if grounds.revision != self.approval.revision:
            return "a decision is about another revision"
        is_assigned = self.verdict.assign or asked(self.approval).assign
        if grounds.assigned_to != person and (is_assigned or grounds.assigned_to):
            return "a decision is by a person to whom it was not assigned"
        return None

    async def _tell(self, why: str) -> None:
        await forgery.tell_decision(self.session, self.approval, self.run, why)

    async def _why_not_by(
        self, one: DecisionRow, steered: Collection[str]
    ) -> str | None:
        """Return why this person's yes does not count now; reads the account again."""
        account = await accounts.account(self.session, one.person)
        if account is None or account.disabled_at is not None:
            return f"{one.person_name} has no account that decides"
        person = self._with_lower_role(person_of(account), one)
        bar = eligibility.why_unfit(self._asked(steered), person)
        bar = bar or eligibility.why_not_yet(person, now=one.at)
        return f"{one.person_name} {bar.of_them}" if bar is not None else None

    def _asked(self, steered: Collection[str]) -> Asked:
        """Return what the current policy and the signed decisions require of approvers.

        An approval by a person in `not_by` does not count, and the assignee is signed
        with the decision.
        """
        roles = self.approval.role, self.verdict.role
        return replace(
            asked_of(self.approval, self.run),
            tenant=self.run.tenant,
            role=max(roles, key=lambda role: APPROVER_RANK.get(role, 99)),
            not_by=dict.fromkeys(steered, "steered"),
            is_assigned=False,
        )

    def _with_lower_role(self, person: Person, one: DecisionRow) -> Person:
        """Return a person with the lower of their role now and that of the decision."""
        held = approval_lookup.statement(one).grounds
        roles = [person.role, *([held.role] if held else [])]
        return person.model_copy(update={"role": min(roles, key=eligibility.rank)})
