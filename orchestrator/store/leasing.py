"""Leasing: the transaction that proves an effect's authority and records its start."""

from collections.abc import Sequence

from pydantic import JsonValue
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, or_, select

from orchestrator import canonical
from orchestrator.binding import Verifier
from orchestrator.errors import LimitExceeded, NotFound
from orchestrator.money import Money
from orchestrator.policy import Action, Verdict, is_stricter, judge, strictest
from orchestrator.status import ENDED_RUNS, OPEN_EFFECTS, CallStatus
from orchestrator.store import (
    approvals,
    asking,
    audit,
    moved,
    proof,
    releases,
    runs,
    switches,
)
from orchestrator.store.engine import Store
from orchestrator.store.ledger import (
    ENDED,
    LEASE,
    CallRef,
    Facts,
    Grant,
    LeaseAnswer,
    facts_of,
    free,
    is_honoured,
    mark_unknown,
)
from orchestrator.store.tables import (
    ApprovalRow,
    CallRow,
    CustomerMessageRow,
    EffectRow,
)
from orchestrator.switch import Target, covering, holding


async def lease(
    store: Store, verifier: Verifier, ref: CallRef, facts: Facts, *, holder: str
) -> LeaseAnswer:
    """Prove the authority and record the effect's start in one transaction (P1)."""
    try:
        async with store.write() as session:
            leasing = _Leasing(session, store, ref, holder)
            return await leasing.answer(verifier, facts)
    except IntegrityError:
        # A unique index spoke: the same subject or call got an effect just now.
        return LeaseAnswer(kind="busy", until=None)


async def give_up(
    store: Store, ref: CallRef, *, words: str, status: CallStatus = "failed"
) -> LeaseAnswer:
    """End a call whose facts cannot be read: its subject says no, or nobody answers.

    Where an effect of it is under way, that effect's outcome is the answer.
    """
    async with store.write() as session:
        leasing = _Leasing(session, store, ref, "")
        return await leasing.give_up(words, status)


def _unlike_drafted(others: Sequence[CallRow]) -> str | None:
    """Return what of the same turn did not come out as the message has it, or None."""
    undone = [other.tool for other in others if other.status != "done"]
    if undone:
        return f"{', '.join(undone)} of the same turn was not done"
    edited = [c.tool for c in others if c.effective not in (None, c.arguments)]
    if edited:
        return f"a person changed {', '.join(edited)} of the same turn"
    return None


class _Leasing:
    """One attempt to lease; each step answers, or leaves it to the next."""

    def __init__(
        self, session: AsyncSession, store: Store, ref: CallRef, holder: str
    ) -> None:
        self._session = session
        self._store = store
        self._ref = ref
        self._holder = holder

    async def answer(self, verifier: Verifier, facts: Facts) -> LeaseAnswer:
        self._verifier, self._facts = verifier, facts
        found = await self._open()
        if found is not None:
            return found
        if self._effect is not None and self._effect.sending_at is not None:
            return await self._send_again(self._effect)
        found = await self._siblings()
        if found is not None:
            return found
        if self._is_stale():
            return LeaseAnswer(kind="busy")
        return await self._authorise()

    async def give_up(self, words: str, status: CallStatus) -> LeaseAnswer:
        found = await self._open()
        if found is not None:
            return found
        if self._effect is not None and self._effect.sending_at is not None:
            return self._unknown(self._effect, "its facts cannot be read any more")
        return await self._end(status, words)

    async def _open(self) -> LeaseAnswer | None:
        """Lock what the call is about; answer where it is not this attempt's turn."""
        await self._store.share_barrier(self._session)
        await self._load()
        if self._call.status != "open":
            return LeaseAnswer(kind=ENDED[self._call.status])
        self._switches = await switches.active(self._session, now=self._now)
        hold = self._hold()
        if hold is None:
            await runs.go_on(self._session, self._run, status="waiting", now=self._now)
        return self._earlier() or await self._held(hold)

    async def _load(self) -> None:
        self._run = await runs.get(self._session, self._ref.run, lock=True)
        key = (self._ref.run, self._ref.turn, self._ref.index)
        call = await self._session.get(CallRow, key, with_for_update=True)
        if call is None:
            raise NotFound(kind="call", name=f"{key[0]}:{key[1]}.{key[2]}")
        self._call = call
        self._effect = await self._session.get(
            EffectRow, asking.effect_key(call), with_for_update=True
        )
        self._release = await releases.load(self._session, self._run.release)
        self._spec = self._release.tool(call.tool)
        self._now = await self._store.now(self._session)

    def _earlier(self) -> LeaseAnswer | None:
        """Answer from what an earlier attempt left."""
        effect = self._effect
        if effect is None or effect.status in ("refused", "undone"):
            return None
        if effect.status == "unknown":
            return LeaseAnswer(kind="unknown")
        if effect.lease_until > self._now and effect.holder != self._holder:
            return LeaseAnswer(kind="busy", until=effect.lease_until)
        return None

    def _hold(self) -> str | None:
        """Return what stops the run, for as long as it is held."""
        if self._run.cancel_reason is None and self._run.paused_by is not None:
            return f"pause by {self._run.paused_by}"
        found = holding(self._switches, self._target())
        return f"switch {found.id}" if found and found.mode == "halt" else None

    def _off(self) -> str | None:
        """Return why the action will never be done, in words for the model."""
        if self._run.cancel_reason is not None or self._run.status in ENDED_RUNS:
            return "The run was ended; this was not done."
        found = holding(self._switches, self._target())
        if found is None or found.mode == "halt":
            return None
        return (
            f"{self._call.tool} is switched off by an operator ({found.reason}). "
            "It was not done and will not be; go on without it."
        )

    async def _held(self, hold: str | None) -> LeaseAnswer | None:
        """Answer for a run or tool that is cancelled, paused or switched off."""
        effect, off = self._effect, self._off()
        may_have_sent = effect is not None and effect.sending_at is not None
        if off is not None and not may_have_sent:
            return await self._end("refused", off)
        if off is not None and effect is not None:
            return self._unknown(effect, "it may have been sent before it was held")
        if hold is None:
            return None
        await runs.stop(self._session, self._run, hold, now=self._now)
        await self._free(f"stopped by {hold}")
        return LeaseAnswer(kind="stopped")

    async def _send_again(self, effect: EffectRow) -> LeaseAnswer:
        """Grant another attempt under the same key, or leave the outcome unknown."""
        self._facts = facts_of(effect, self._call)
        why = await self._why_not_again(effect)
        if why is not None:
            return self._unknown(effect, why)
        effect.status, effect.attempt = "leased", effect.attempt + 1
        effect.holder, effect.lease_until = self._holder, self._now + LEASE
        self._audit("effect.leased", {"binding": effect.binding, "again": True})
        return _granted(effect)

    async def _why_not_again(self, effect: EffectRow) -> str | None:
        if not is_honoured(effect, now=self._now):
            return "the worker died while it was sending"
        verdict = await self._verdict()
        if effect.approval is None:
            return None if verdict.kind == "allow" else verdict.rule
        approval = await self._session.get(ApprovalRow, effect.approval)
        if approval is None or is_stricter(verdict, proof.asked(approval)):
            return "the policy became stricter while it was sent"
        return await self._prover(approval, verdict).why_unproven(effect.binding)

    async def _siblings(self) -> LeaseAnswer | None:
        """Hold what speaks to the customer until its turn's other actions ended."""
        if self._spec.audience != "customer":
            return None
        query = select(CallRow).where(
            col(CallRow.run) == self._call.run,
            col(CallRow.turn) == self._call.turn,
            col(CallRow.index) != self._call.index,
            col(CallRow.authority) != "read_only",
        )
        others = list((await self._session.execute(query)).scalars())
        others = [
            c for c in others if self._release.tool(c.tool).audience != "customer"
        ]
        if any(other.status == "open" for other in others):
            return LeaseAnswer(kind="waiting")
        because = _unlike_drafted(others)
        if because is None:
            return None
        await self._close_open_approval("void", because)
        return await self._end(
            "void",
            f"This message was not sent: {because}. Write it again so that it says "
            "only what was done.",
        )

    def _is_stale(self) -> bool:
        """Tell whether the facts were read for an earlier revision."""
        return (
            self._facts.revision != self._call.revision
            or self._facts.arguments != asking.effective(self._call)
        )

    async def _authorise(self) -> LeaseAnswer:
        # Two small refunds that are judged at once would each seem to be the first.
        await moved.lock_history(
            self._session,
            self._store,
            self._run,
            subject=self._call.subject,
            has_money=self._facts.money is not None,
        )
        approval = await asking.latest(self._session, self._call, lock=True)
        verdict = await self._verdict()
        if verdict.kind == "deny":
            await self._close_open_approval("void", verdict.rule)
            return await self._end("denied", f"Not allowed: {verdict.rule}.")
        if approval is None and verdict.kind == "allow":
            return await self._grant(None)
        if approval is None:
            return await self._ask(verdict)
        found = await self._judge_approval(approval, verdict)
        return found or await self._grant(approval)

    async def _judge_approval(
        self, approval: ApprovalRow, verdict: Verdict
    ) -> LeaseAnswer | None:
        """Answer where the approval does not carry this action; None where it does."""
        is_open = approval.status in ("pending", "approved")
        if is_open and await self._has_customer_written():
            self._close(approval, "void", "the customer wrote again")
        match approval.status:
            case "pending":
                return await self._pending(approval, verdict)
            case "approved":
                return await self._approved(approval, verdict)
            case "rejected" | "changes":
                words = await self._prover(approval, verdict).rejection()
                if words is None:
                    words = "This was not done: its decision is not valid."
                    return await self._end("refused", words)
                return await self._end("rejected", words)
            case "expired":
                return await self._end("expired", _expired_words(self._call.tool))
            case _:
                because = approval.closed_because or approval.status
                return await self._end(
                    "void",
                    f"This was not done: {because}. Read what is new and, if it is "
                    "still right, draft it again.",
                )

    async def _has_customer_written(self) -> bool:
        """Tell whether there is a message that the model had not read when it drafted."""
        query = select(CustomerMessageRow.id).where(
            col(CustomerMessageRow.run) == self._run.id,
            or_(
                col(CustomerMessageRow.turn).is_(None),
                col(CustomerMessageRow.turn) > self._call.turn,
            ),
        )
        return (await self._session.execute(query.limit(1))).first() is not None

    async def _pending(self, approval: ApprovalRow, verdict: Verdict) -> LeaseAnswer:
        if approval.answer_by <= self._now:
            self._close(approval, "expired", "nobody answered in time")
            return await self._end("expired", _expired_words(self._call.tool))
        if approval.binding is None:
            self._prepare(approval)
        if is_stricter(verdict, proof.asked(approval)):
            # P11: a stricter policy applies to what already waits.
            because = "the policy became stricter"
            return await self._ask_again(approval, verdict, because)
        self._run.status = "waiting"
        return LeaseAnswer(kind="waiting", until=approval.answer_by)

    def _prepare(self, approval: ApprovalRow) -> None:
        """Fill in the facts of an edited action, so that it can be decided."""
        approval.preview = self._facts.preview
        if self._facts.money is not None:
            approval.amount = self._facts.money.amount
            approval.currency = self._facts.money.currency
        approval.binding = asking.bind(
            self._run, self._call, self._release, self._facts.preview
        )

    async def _approved(
        self, approval: ApprovalRow, verdict: Verdict
    ) -> LeaseAnswer | None:
        prover = self._prover(approval, verdict)
        if await prover.has_run_out():
            because = "the approval had run out"
            return await self._ask_again(approval, verdict, because)
        if is_stricter(verdict, proof.asked(approval)):
            because = "the policy became stricter"
            return await self._ask_again(approval, verdict, because)
        if approval.preview != self._facts.preview:
            because = "the facts changed after it was approved"
            self._close(approval, "void", because)
            return await self._end(
                "void", f"This was not done: {because}. Read them again, then decide."
            )
        bound = approval.effective_binding or approval.binding or ""
        now = asking.bind(self._run, self._call, self._release, self._facts.preview)
        if bound != now:
            return await self._refuse(approval, "the approval is for something else")
        why = await prover.why_unproven(bound)
        return await self._refuse(approval, why) if why else None

    def _prover(self, approval: ApprovalRow, verdict: Verdict) -> proof.Prover:
        return proof.Prover(
            session=self._session,
            verifier=self._verifier,
            run=self._run,
            approval=approval,
            verdict=verdict,
            now=self._now,
        )

    async def _grant(self, approval: ApprovalRow | None) -> LeaseAnswer:
        given = (
            await approvals.decisions(self._session, approval.id) if approval else []
        )
        fresh = self._effect_row(approval, [one.person for one in given])
        busy = await self._other_effect(fresh)
        if busy is not None:
            return await self._end("refused", busy)
        try:
            await moved.check_limits(
                self._session, self._store, fresh, await self._limits()
            )
        except LimitExceeded as error:
            await self._close_open_approval("void", "a limit on money was reached")
            return await self._end("refused", str(error))
        row = self._lease_row(fresh)
        if approval is not None:
            approval.consumed_by = row.key
        self._call.gate, self._run.status = "act", "running"
        self._audit("effect.leased", {"binding": row.binding, "approval": row.approval})
        return _granted(row)

    async def _limits(self) -> list[Sequence[moved.Limit]]:
        """Return the pinned limits and the live ones: each must leave room (P11)."""
        _, live = await releases.live(self._session, self._run.workflow)
        return [self._release.limits, live.limits]

    def _lease_row(self, fresh: EffectRow) -> EffectRow:
        """Add the effect, or lease again what was never sent, as it is proven now."""
        effect = self._effect
        if effect is None:
            self._session.add(fresh)
            return fresh
        fresh.attempt = effect.attempt + 1
        for name, value in fresh.model_dump().items():
            setattr(effect, name, value)
        return effect

    def _effect_row(
        self, approval: ApprovalRow | None, approvers: Sequence[str]
    ) -> EffectRow:
        money, window = self._facts.money, self._spec.idempotency_window
        return EffectRow(
            key=asking.effect_key(self._call),
            run=self._run.id,
            turn=self._call.turn,
            index=self._call.index,
            revision=self._call.revision,
            tenant=self._run.tenant,
            workflow=self._run.workflow,
            customer=self._run.customer,
            tool=self._call.tool,
            corpora=list(self._spec.corpora),
            subject=self._call.subject,
            status="leased",
            arguments=self._facts.arguments,
            preview=self._facts.preview,
            binding=asking.bind(
                self._run, self._call, self._release, self._facts.preview
            ),
            approval=approval.id if approval else None,
            approvers=list(approvers),
            amount=money.amount if money else None,
            currency=money.currency if money else None,
            holder=self._holder,
            lease_until=self._now + LEASE,
            idempotent_until=self._now + window if window else None,
            created_at=self._now,
        )

    async def _other_effect(self, fresh: EffectRow) -> str | None:
        """Return why the subject is not free, or None."""
        if fresh.subject is None:
            return None
        query = select(EffectRow).where(
            col(EffectRow.tenant) == fresh.tenant,
            col(EffectRow.subject) == fresh.subject,
            col(EffectRow.key) != fresh.key,
            col(EffectRow.status).in_(OPEN_EFFECTS),
        )
        other = (await self._session.execute(query)).scalars().first()
        if other is None:
            return None
        return (
            f"Another action on {fresh.subject} ({other.tool} of run {other.run}) is "
            f"{other.status}; until it is known, nothing else is done there."
        )

    async def _verdict(self) -> Verdict:
        """Return the strictest of pinned policy, live policy and switches (P11)."""
        money = self._facts.money
        action = Action(
            tool=self._call.tool,
            arguments=_as_object(self._facts.arguments),
            money=money,
            moved=await self._moved_before(money),
            repeated=await moved.is_repeated(
                self._session, tenant=self._run.tenant, subject=self._call.subject
            ),
        )
        _, live = await releases.live(self._session, self._run.workflow)
        verdicts = [judge(self._release.rules, action), judge(live.rules, action)]
        asked = [
            one
            for one in covering(self._switches, self._target())
            if one.mode == "require_approval"
        ]
        verdicts += [
            Verdict(kind="ask", approvers=1, rule=f"switch {one.id}: {one.reason}")
            for one in asked
        ]
        return strictest(*verdicts)

    async def _moved_before(self, money: Money | None) -> int:
        """Leave out this call's own effect, which a retry would count twice."""
        return await moved.before(
            self._session,
            self._run,
            self._release,
            subject=self._call.subject,
            money=money,
            now=self._now,
            but=asking.effect_key(self._call),
        )

    async def _ask(
        self, verdict: Verdict, *, reason: str = "", not_by: Sequence[str] = ()
    ) -> LeaseAnswer:
        await self._free("it is asked about")
        row = asking.ask(
            self._session,
            self._run,
            self._call,
            self._release,
            verdict,
            preview=self._facts.preview,
            money=self._facts.money,
            reason=reason,
            now=self._now,
            not_by=not_by,
        )
        self._call.gate, self._run.status = "wait", "waiting"
        return LeaseAnswer(kind="waiting", until=row.answer_by)

    async def _ask_again(
        self, approval: ApprovalRow, verdict: Verdict, because: str
    ) -> LeaseAnswer:
        """Ask for the same action as a new revision; never dropped in silence (P9)."""
        self._close(approval, "void", because)
        await self._free(because)
        self._call.revision += 1
        return await self._ask(
            strictest(proof.asked(approval), verdict),
            reason=approval.reason,
            not_by=approval.not_by,
        )

    async def _close_open_approval(self, status: str, because: str) -> None:
        approval = await asking.latest(self._session, self._call, lock=True)
        if approval is not None and approval.status in ("pending", "approved"):
            self._close(approval, status, because)

    def _close(self, approval: ApprovalRow, status: str, because: str) -> None:
        asking.close(
            self._session, approval, status=status, because=because, now=self._now
        )

    async def _refuse(self, approval: ApprovalRow, why: str) -> LeaseAnswer:
        """Record a refusal: somebody or something tried to act without authority."""
        self._close(approval, "void", why)
        self._audit("effect.refused", {"why": why, "approval": approval.id})
        return await self._end("refused", f"This was refused and not done: {why}.")

    async def _end(self, status: CallStatus, words: str) -> LeaseAnswer:
        """Give the call its answer; nothing of it was sent, and nothing stays open."""
        await self._close_open_approval("void", words)
        await self._free(words)
        asking.end_call(self._session, self._call, status, words, now=self._now)
        return LeaseAnswer(kind=ENDED[status])

    async def _free(self, why: str) -> None:
        if self._effect is not None:
            await free(self._session, self._effect, why=why, now=self._now)

    def _unknown(self, effect: EffectRow, why: str) -> LeaseAnswer:
        mark_unknown(self._session, self._run, effect, error=why, now=self._now)
        return LeaseAnswer(kind="unknown")

    def _target(self) -> Target:
        return switches.tool_targets(
            tenant=self._run.tenant,
            workflow=self._run.workflow,
            tool=self._call.tool,
            corpora=self._spec.corpora,
        )

    def _audit(self, kind: str, payload: dict[str, JsonValue]) -> None:
        audit.record(
            self._session,
            audit.Entry(
                actor=f"run:{self._run.id}",
                kind=kind,
                tenant=self._run.tenant,
                run=self._run.id,
                subject=asking.effect_key(self._call),
                payload={"tool": self._call.tool, **payload},
            ),
            at=self._now,
        )


def _granted(effect: EffectRow) -> LeaseAnswer:
    grant = Grant(
        key=effect.key,
        attempt=effect.attempt,
        arguments=effect.arguments,
        again=effect.sending_at is not None,
    )
    return LeaseAnswer(kind="leased", grant=grant)


def _expired_words(tool: str) -> str:
    return (
        f"{tool} was not done: nobody with the authority answered in time. Do not "
        "promise it to the customer."
    )


def _as_object(arguments: str) -> dict[str, JsonValue]:
    value = canonical.parse(arguments)
    return value if isinstance(value, dict) else {}
