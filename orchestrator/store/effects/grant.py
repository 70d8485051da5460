"""Granting: the effect's record, if its subject is free and its limits have room."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import col, select

from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.errors import LimitExceeded
from keyturn.orchestrator.rules.money.budget import Limit
from keyturn.orchestrator.rules.status import OPEN_EFFECTS
from keyturn.orchestrator.rules.text import model_notices
from keyturn.orchestrator.rules.text.model_notices import ModelNotice
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.approvals import request
from keyturn.orchestrator.store.effects import restore
from keyturn.orchestrator.store.effects.context import Case
from keyturn.orchestrator.store.ledger import keys, limits
from keyturn.orchestrator.store.ledger.effects import LEASE, Facts, Grant, LeaseAnswer
from keyturn.orchestrator.store.ledger.reach import Reach
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.status import effect as effect_status
from keyturn.orchestrator.store.status import run as run_status
from keyturn.orchestrator.store.tables import ApprovalRow, EffectRow


@dataclass(frozen=True)
class Granting:
    """Grants one case, whose authority is proven, to one holder."""

    case: Case
    facts: Facts
    holder: str
    touched: Reach
    # The release of the worker's own code, whose limits apply as well.
    own: Release | None = None

    async def grant(
        self, approval: ApprovalRow | None, *, busy: ModelNotice | None
    ) -> LeaseAnswer:
        """Lease the effect, or return what blocks it; uses up the approval.

        `busy` is what `busy` returned before policy looked at what is done.
        """
        if busy is not None:
            return await self._refuse(busy)
        given = (
            await approval_lookup.decisions(self.case.session, approval.id)
            if approval
            else []
        )
        fresh = self._effect_row(approval, [one.person for one in given])
        try:
            await limits.check_limits(self.case.session, fresh, await self._limits())
        except LimitExceeded as error:
            notice = model_notices.call_limited(
                scope=error.scope,
                needed=error.needed,
                left=error.left,
                counted=error.counted,
            )
            return await self._refuse(notice, "a limit on money was reached")
        row = self._lease_row(fresh)
        if approval is not None:
            approval.consumed_by = row.key
        self.case.call.gate = "act"
        run_status.move(self.case.run, "running")
        self.case.audit(
            "effect.leased", {"binding": row.binding, "approval": row.approval}
        )
        return granted(row)

    async def _refuse(
        self, notice: ModelNotice, because: str | None = None
    ) -> LeaseAnswer:
        """End it with this notice; if a person's edit is the cause, ask without it."""
        back = await restore.restore(self.case, notice.words)
        if back is not None:
            return back
        await self.case.close_open_approval("void", because or notice.words)
        return await self.case.end("refused", notice)

    async def _limits(self) -> list[Sequence[Limit]]:
        """Return the pinned, live and our own limits: each must leave room (P11)."""
        _, live = await releases.live(self.case.session, self.case.run.workflow)
        own = [self.own.limits] if self.own is not None else []
        return [self.case.release.limits, live.limits, *own]

    def _lease_row(self, fresh: EffectRow) -> EffectRow:
        """Add the effect, or lease an unsent one again, with the current proof."""
        effect = self.case.effect
        if effect is None:
            self.case.session.add(fresh)
            return fresh
        fresh.attempt = effect.attempt + 1
        fresh.put_off_since = effect.put_off_since
        effect_status.move(effect, fresh.status)
        for name, value in fresh.model_dump(exclude={"status"}).items():
            setattr(effect, name, value)
        return effect

    def _effect_row(
        self, approval: ApprovalRow | None, approvers: Sequence[str]
    ) -> EffectRow:
        money, window = self.facts.money, self.case.spec.idempotency_window
        touched = self.touched
        return EffectRow(
            key=keys.effect_key(self.case.call),
            run=self.case.run.id,
            turn=self.case.call.turn,
            index=self.case.call.index,
            revision=self.case.call.revision,
            tenant=self.case.run.tenant,
            workflow=self.case.run.workflow,
            customer=self.case.run.customer,
            tool=self.case.call.tool,
            corpora=list(self.case.spec.corpora),
            subject=self.case.call.subject,
            service=touched.service,
            within_tenant=touched.tenant,
            customer_key=touched.customer,
            subject_key=touched.subject,
            arguments=self.facts.arguments,
            preview=self.facts.preview,
            binding=request.bind(
                self.case.run, self.case.call, self.case.release, self.facts.preview
            ),
            approval=approval.id if approval else None,
            approvers=list(approvers),
            amount=money.amount if money else None,
            currency=money.currency if money else None,
            compensates=self.case.takes_back(),
            holder=self.holder,
            lease_until=self.case.session.now + LEASE,
            idempotent_until=self.case.session.now + window if window else None,
            created_at=self.case.session.now,
        )

    async def busy(self) -> ModelNotice | None:
        """Return why the subject is not free, or None; asked under its lock.

        Called before policy: an outcome takes no such lock, and an effect that ends
        between the two checks is then seen as open or as done. In the opposite order it
        would be seen as neither.
        """
        if self.touched.subject is None:
            return None
        query = select(EffectRow).where(
            *self.touched.same_subject(),
            col(EffectRow.key) != keys.effect_key(self.case.call),
            col(EffectRow.status).in_(OPEN_EFFECTS),
        )
        other = (await self.case.session.execute(query)).scalars().first()
        return None if other is None else self._busy(other)

    def _busy(self, other: EffectRow) -> ModelNotice:
        """Return what blocks the subject, without revealing another tenant's run."""
        is_own = other.tenant == self.case.run.tenant
        return model_notices.call_busy(
            subject=self.case.call.subject,
            by=f"{other.tool} of run {other.run}" if is_own else None,
            status=other.status,
        )


def granted(effect: EffectRow) -> LeaseAnswer:
    """Return the grant of a leased effect."""
    grant = Grant(
        key=effect.key,
        attempt=effect.attempt,
        arguments=effect.arguments,
        again=effect.sending_at is not None,
    )
    return LeaseAnswer(kind="leased", grant=grant)
