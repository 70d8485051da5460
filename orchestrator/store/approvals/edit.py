"""An approval with other arguments: an edit is a decision, too (P10)."""

from dataclasses import dataclass
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, JsonValue

from keyturn.orchestrator.rules.authority.binding import Signer
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.contract.release import COMPUTED, Release, ToolSpec
from keyturn.orchestrator.rules.errors import InvalidValue, NotFound
from keyturn.orchestrator.rules.policy import amendment, stakes
from keyturn.orchestrator.rules.policy.rules import REPEATED, Verdict
from keyturn.orchestrator.rules.policy.verdict import no_looser
from keyturn.orchestrator.rules.text import canonical, json_object, plain_text, schema
from keyturn.orchestrator.store import outbox
from keyturn.orchestrator.store.approvals import (
    assignment,
    decision,
    eligibility,
    request,
)
from keyturn.orchestrator.store.approvals import verdict as approval_verdict
from keyturn.orchestrator.store.approvals.decision import Answer
from keyturn.orchestrator.store.approvals.errors import EditRefused
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.ledger import keys
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.switches import active as switch_active
from keyturn.orchestrator.store.tables import ApprovalRow, CallRow, RunRow


class Foresight(BaseModel):
    """What an edit would lead to: how many others it needs, of which role."""

    model_config = ConfigDict(frozen=True)

    needs: int
    role: str


class _Item(NamedTuple):
    """An approval with its rows, locked if it is being decided, and its release."""

    row: ApprovalRow
    run: RunRow
    call: CallRow
    release: Release


@dataclass(frozen=True)
class _Weighed:
    """Policy's verdict on an edit, and whether its author may approve it."""

    verdict: Verdict
    is_own: bool
    is_repeated: bool
    proposed: approval_verdict.Proposed

    def asked(self, before: Verdict) -> Verdict:
        """Return what other people are asked, who were asked the verdict `before`.

        They are told that the action would be repeated, whichever rule asks.
        """
        wanted = no_looser(before, self.verdict)
        again = {"rule": REPEATED} if self.is_repeated else {}
        return wanted.model_copy(update=again)


async def foresee(
    store: Store, person: Person, approval: str, edited: dict[str, JsonValue]
) -> Foresight:
    """Return what approving with these arguments would lead to; writes nothing.

    Raises `NotFound`, `InvalidValue` or `EditRefused` as the edit itself would.
    """
    async with store.read() as session:
        row = await session.get(ApprovalRow, approval)
        if row is None or person.tenant not in (None, row.tenant):
            raise NotFound(kind="approval", name=approval)
        run = await run_lookup.get(session, row.run)
        call = await session.get(CallRow, (row.run, row.turn, row.index))
        if call is None:
            raise NotFound(kind="call", name=approval)
        release = await releases.load(session, run.release)
        await session.read_clock()
        weighed = await _weigh(session, _Item(row, run, call, release), edited)
    own = weighed.is_own
    if own and row.needed == 1 and weighed.verdict.approvers <= 1:
        return Foresight(needs=0, role=row.role)
    wanted = weighed.asked(Verdict.model_validate(row.verdict))
    people = max(1, wanted.approvers)
    return Foresight(
        needs=people - 1 if own and people > 1 else people, role=wanted.role
    )


class Edit:
    """One person's edit, within the transaction that decides."""

    def __init__(self, session: Tx, signer: Signer, person: Person) -> None:
        """Take the editor, and what signs the edit."""
        self._session = session
        self._signer = signer
        self._person = person

    async def commit(
        self,
        row: ApprovalRow,
        run: RunRow,
        call: CallRow,
        answer: Answer,
    ) -> ApprovalRow:
        """Approve as edited, or request approval again if the editor may not approve.

        Raises `InvalidValue` or `EditRefused`; returns the approval that is now in
        force.
        """
        release = await releases.load(self._session, run.release)
        item = _Item(row, run, call, release)
        if answer.arguments is None:
            raise InvalidValue("arguments: an edit needs them; send all of them")
        edited = answer.arguments
        weighed = await _weigh(self._session, item, edited)
        call.effective = canonical.text(edited)
        edit = answer, weighed
        if weighed.is_own and row.needed == 1 and weighed.verdict.approvers <= 1:
            return await self._approve(item, edit)
        return await self._ask_again(item, edit)

    async def _approve(self, item: _Item, edit: tuple[Answer, _Weighed]) -> ApprovalRow:
        row, run, call, release = item
        answer, edited = edit[0], edit[1].proposed.moves()
        if edited is not None:
            row.amount, row.currency = edited.amount, edited.currency
        row.effective, row.edited_by = call.effective, self._person.id
        row.effective_binding = request.bind(run, call, release, row.preview or "null")
        decision.sign(
            self._session,
            self._signer,
            self._person,
            run,
            row,
            answer,
            effective=row.effective_binding,
        )
        await decision.conclude(self._session, row, run, answer, [self._person.id])
        return row

    async def _ask_again(
        self, item: _Item, edit: tuple[Answer, _Weighed]
    ) -> ApprovalRow:
        """Request other people's approval of the edit, as a revision of its own.

        The web process reaches no service: if the tool reads facts or computes its
        money, the effect worker does so before anybody can approve this.
        """
        row, run, call, release = item
        answer, weighed = edit
        own = weighed.is_own
        spec = release.tool(call.tool)
        request.close(
            self._session,
            row,
            status="void",
            because=f"replaced by an edit of {self._person.name}",
        )
        call.revision += 1
        call.subject = weighed.proposed.subject()
        fresh = await request.ask(
            self._session,
            run,
            call,
            release,
            request.Question(
                weighed.asked(Verdict.model_validate(row.verdict)),
                preview=None if _reads_facts(spec) else row.preview,
                money=weighed.proposed.moves() or (request.shown(row) if own else None),
                reason=row.reason,
                not_by=row.not_by if own else [*row.not_by, self._person.id],
                barred={
                    **(row.barred or {}),
                    **({} if own else {self._person.id: "edited"}),
                },
            ),
        )
        fresh.edited_by = self._person.id
        await self._session.flush()
        if fresh.assigns and row.assigned_to != self._person.id:
            # A person whom the system did not draw cannot say yes to any edit.
            own = False
        if own and fresh.needed > 1:
            fresh.assigned_to = row.assigned_to
            # Less money or other wording is approved by the editor's own yes; others
            # add theirs. That yes holds for the facts as they were; it does not count
            # for other facts.
            decision.sign(
                self._session,
                self._signer,
                self._person,
                run,
                fresh,
                answer,
                effective=request.bind(run, call, release, row.preview or "null"),
            )
            if eligibility.is_assigned(fresh):
                mine_alone = [self._person.id]
                await assignment.pick(self._session, fresh, run, but=mine_alone)
        outbox.add(self._session, "wake", run.id, at=self._session.now)
        return fresh


async def _weigh(session: Tx, item: _Item, edited: dict[str, JsonValue]) -> _Weighed:
    spec = item.release.tool(item.call.tool)
    schema.check_arguments(edited, spec.parameters)
    plain_text.refuse_control_characters(edited)
    proposed = await _proposed(session, item, edited)
    verdict = await _judge(session, proposed)
    shown = json_object.parse(item.row.arguments)
    return _Weighed(
        verdict=verdict,
        is_own=amendment.is_only_less(spec, shown, edited),
        is_repeated=await approval_verdict.is_repeated(session, proposed),
        proposed=proposed,
    )


async def _proposed(
    session: Tx, item: _Item, edited: dict[str, JsonValue]
) -> approval_verdict.Proposed:
    run, call, release = item.run, item.call, item.release
    _, live = await releases.live(session, run.workflow)
    spec, drafted = release.tool(call.tool), canonical.parse(call.arguments)
    is_as_drafted = amendment.is_same_but_money(spec, drafted, edited)
    return approval_verdict.Proposed(
        run=run,
        tool=call.tool,
        arguments=edited,
        pinned=release,
        live=live,
        money=stakes.declared_money(spec, edited),
        key=keys.effect_key(call),
        takes_back=run.compensates if is_as_drafted else None,
    )


async def _judge(session: Tx, proposed: approval_verdict.Proposed) -> Verdict:
    is_known = proposed.moves() is not None
    if not is_known and stakes.moves_money(proposed.releases, proposed.tool):
        # Its money is computed by code that only the effect worker has.
        return Verdict(kind="ask", approvers=1, rule="edited; judged when it acts")
    active = await switch_active.active(session)
    verdict = await approval_verdict.of(session, proposed, active)
    if verdict.kind == "deny":
        raise EditRefused(
            f"The edited {proposed.tool} is not allowed: {verdict.words} Your draft is "
            "kept; change it or reject the action."
        )
    return verdict


def _reads_facts(spec: ToolSpec) -> bool:
    """Tell whether code has to read facts again for other arguments."""
    return spec.has_preview or spec.money == COMPUTED
