"""The one commit of a turn: what a model said, judged, with its cost."""

from collections.abc import Sequence

from sqlalchemy.exc import IntegrityError

from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.rules.authority.switch import Switch, Target
from keyturn.orchestrator.rules.policy import stakes
from keyturn.orchestrator.rules.policy import verdict as policy_verdict
from keyturn.orchestrator.rules.policy.rules import Verdict
from keyturn.orchestrator.rules.status import ENDED_RUNS
from keyturn.orchestrator.rules.text import canonical, model_notices
from keyturn.orchestrator.store.approvals import conflicts, request, siblings
from keyturn.orchestrator.store.approvals import verdict as approval_verdict
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.budgets import settlement
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.ledger import corrections, keys
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import answers, end, faults
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.runs.end import Ending
from keyturn.orchestrator.store.status import run as run_status
from keyturn.orchestrator.store.switches import active
from keyturn.orchestrator.store.tables import (
    CallRow,
    CustomerMessageRow,
    MessageRow,
    StepRow,
    TurnRow,
)
from keyturn.orchestrator.store.turns import position as turn_position
from keyturn.orchestrator.store.turns.errors import EndHeld
from keyturn.orchestrator.store.turns.position import Position
from keyturn.orchestrator.store.turns.turn import (
    Committed,
    DraftedCall,
    Gated,
    ToResult,
    Turn,
)


async def commit(
    store: Store, turn: Turn, to_result: ToResult, position: Position
) -> str:
    """Commit a turn and return its result; a late loser gets the winner's."""
    try:
        async with store.write(first=True) as session:
            return await _Committing(session, turn, position).commit(to_result)
    except IntegrityError:
        async with store.read() as session:
            winner = await session.get(TurnRow, (turn.run, turn.turn))
        if winner is None:
            raise
        if turn.attempt is not None:
            await settlement.settle(store, turn.attempt, turn.used)
        return winner.result


class _Committing:
    def __init__(self, session: Tx, turn: Turn, position: Position) -> None:
        self._session = session
        self._turn = turn
        self._release = position.release
        self._is_loop = position.step.kind == "act"

    async def commit(self, to_result: ToResult) -> str:
        turn, session = self._turn, self._session
        if turn.ends_run and turn.output is not None:
            await session.share_barrier()
        self._run = await run_lookup.lock(session, turn.run)
        await session.read_clock()
        if turn.attempt is not None:
            await settlement.settle_in(session, turn.attempt, turn.used, run=self._run)
        await self._say()
        if any(self._release.tool(call.tool).is_action for call in turn.calls):
            # Only actions are judged; a turn of reads needs neither.
            self._switches = await active.active(session)
            _, self._live = await releases.live(session, self._run.workflow)
        gated = await self._gate_all()
        # An answer that does not know the customer's last words ends nothing.
        self._is_final = turn.output is not None and not (
            self._is_loop and await turn_position.unread(session, turn.run)
        )
        ends_run = self._is_final and turn.ends_run
        if ends_run:
            await self._check_held()
        result = to_result(Committed(gated, self._is_final, ends_run))
        self._record(result)
        await self._close_step()
        self._set_status(gated)
        place = faults.turn_place(turn.turn)
        faults.healed(self._run, place, faults.ENGINE)
        if ends_run:
            ending = Ending(outcome="completed", step=turn.step)
            await end.end(session, self._run, ending)
        return result

    async def _check_held(self) -> None:
        by = await end.end_held_by(self._session, self._run)
        if by is not None:
            raise EndHeld(by)

    async def _say(self) -> None:
        """Add the customer's new words, then the model's, to the transcript."""
        for offset, message_id in enumerate(self._turn.read_messages):
            row = await self._session.get(CustomerMessageRow, message_id)
            if row is not None:
                row.turn = self._turn.turn
                self._message(offset, "user", row.text)
        if self._turn.text:
            self._message(len(self._turn.read_messages), "assistant", self._turn.text)

    def _message(self, index: int, role: str, text: str) -> None:
        self._session.add(
            MessageRow(
                run=self._turn.run,
                turn=self._turn.turn,
                index=index,
                role=role,
                text=text,
                created_at=self._session.now,
            )
        )

    async def _gate_all(self) -> list[Gated]:
        """Gate the calls: messages to the customer after the actions they describe."""
        messages = [c for c in self._turn.calls if self._speaks(c)]
        others = [c for c in self._turn.calls if not self._speaks(c)]
        gated = [await self._gate(call) for call in (*others, *messages)]
        return sorted(gated, key=lambda one: one.index)

    def _speaks(self, call: DraftedCall) -> bool:
        return siblings.speaks(self._release, call.tool)

    async def _gate(self, call: DraftedCall) -> Gated:
        spec = self._release.tool(call.tool)
        row = self._call_row(call, spec.authority)
        self._session.add(row)
        last = spec.audience == "customer" and spec.is_action
        if self._run.status in ENDED_RUNS:
            # An attempt that outlived its run is recorded; it asks nobody, and does not
            # act.
            ended = model_notices.call_run_ended()
            answers.end_call(self._session, row, "refused", ended)
            return Gated(call.index, "denied", last, None)
        if call.answer is not None:
            answers.end_call(self._session, row, call.answer_status, call.answer)
            return Gated(call.index, "denied", last, None)
        if not spec.is_action:
            return Gated(call.index, "read", last=False, until=None)
        others = await siblings.of(self._session, row, self._release) if last else []
        because = siblings.unlike_drafted(others)
        if last and because is None:
            because = await corrections.undone(self._session, row)
        if because is not None:
            # Its statement is untrue: nobody is asked about it, and the model is told.
            row.gate, void = "denied", model_notices.message_void(because=because)
            answers.end_call(self._session, row, "void", void)
            return Gated(call.index, "denied", last, None)
        self._waits = any(one.status == "open" for one in others)
        if last and not self._waits:
            self._waits = bool(await corrections.unsettled(self._session, row))
        proposed = self._proposed(row, call)
        # Also what only the live release says of it.
        row.subject = proposed.subject()
        call = call.model_copy(update={"money": proposed.moves()})
        verdict = await self._verdict(proposed)
        row.verdict = verdict.model_dump(mode="json")
        return await self._apply(row, call, verdict, last=last)

    def _call_row(self, call: DraftedCall, authority: str) -> CallRow:
        arguments = canonical.parse(call.arguments)
        return CallRow(
            run=self._turn.run,
            turn=self._turn.turn,
            index=call.index,
            tool=call.tool,
            authority=authority,
            provider_id=call.provider_id,
            arguments=call.arguments,
            arguments_hash=canonical.digest(arguments),
            gate="read" if authority == "read_only" else "act",
            subject=stakes.subject_of(self._release.tool(call.tool), arguments),
            created_at=self._session.now,
        )

    async def _apply(
        self, row: CallRow, call: DraftedCall, verdict: Verdict, *, last: bool
    ) -> Gated:
        match verdict.kind:
            case "deny":
                row.gate = "denied"
                denied = model_notices.call_denied(why=verdict.words)
                answers.end_call(self._session, row, "denied", denied)
                return Gated(call.index, "denied", last, None)
            case "allow":
                return Gated(call.index, "act", last, None)
            case "ask":
                row.gate = "wait"
                approval = await request.ask(
                    self._session,
                    self._run,
                    row,
                    self._release,
                    request.Question(
                        verdict,
                        preview=call.preview,
                        money=call.money,
                        reason=self._turn_words(),
                        waits=self._waits,
                        not_by=await conflicts.steered_by(
                            self._session, row, self._release.tool(call.tool)
                        ),
                    ),
                )
                asked_until = None if self._waits else approval.answer_by
                return Gated(call.index, "wait", last, asked_until)

    def _turn_words(self) -> str:
        said = canonical.parse(self._turn.text)
        words = said.get("text") if isinstance(said, dict) else ""
        return words if isinstance(words, str) else ""

    async def _verdict(self, proposed: approval_verdict.Proposed) -> Verdict:
        found = await approval_verdict.of(self._session, proposed, self._switches)
        return policy_verdict.of_draft(found, self._disabling(proposed.tool))

    def _proposed(self, row: CallRow, call: DraftedCall) -> approval_verdict.Proposed:
        return approval_verdict.Proposed(
            run=self._run,
            tool=call.tool,
            arguments=canonical.parse(call.arguments),
            pinned=self._release,
            live=self._live,
            money=call.money,
            key=keys.effect_key(row),
            takes_back=self._run.compensates,
        )

    def _disabling(self, tool: str) -> Switch | None:
        target = Target(
            tenant=self._run.tenant,
            workflow=self._run.workflow,
            tool=tool,
            corpora=frozenset(self._release.tool(tool).corpora),
        )
        return hold.disabling(self._switches, target)

    def _record(self, result: str) -> None:
        turn = self._turn
        self._session.add(
            TurnRow(
                run=turn.run,
                turn=turn.turn,
                step=turn.step,
                result=result,
                model=turn.model,
                provider=turn.provider,
                tokens=turn.used.input_tokens + turn.used.output_tokens
                if turn.used
                else 0,
                cost_microusd=turn.used.cost_microusd if turn.used else 0,
                duration_ms=turn.duration_ms,
                created_at=self._session.now,
            )
        )
        self._run.turns += 1
        if turn.gave_up is not None and self._run.status not in ENDED_RUNS:
            self._run.handed_off = {
                "reason": turn.gave_up.reason[:2000],
                "detail": turn.gave_up.left or None,
            }
        log.record(
            self._session,
            log.Entry(
                actor=f"run:{turn.run}",
                kind="turn",
                tenant=self._run.tenant,
                run=turn.run,
                subject=f"{turn.run}:{turn.turn}",
                payload={
                    "model": turn.model,
                    "provider": turn.provider,
                    "release": self._run.release,
                    "said": canonical.digest(turn.text),
                    "result": canonical.digest(result),
                    "calls": [call.tool for call in turn.calls],
                    "cost_microusd": turn.used.cost_microusd if turn.used else 0,
                },
            ),
            at=self._session.now,
        )

    async def _close_step(self) -> None:
        if self._turn.output is None or not self._is_final:
            return
        step = await self._session.get(StepRow, (self._turn.run, self._turn.step))
        if step is not None:
            step.output = dict(self._turn.output)

    def _set_status(self, gated: Sequence[Gated]) -> None:
        if self._run.status in ENDED_RUNS or self._run.stopped_by is not None:
            return
        waits = any(call.gate == "wait" and call.until for call in gated)
        run_status.move(self._run, "waiting" if waits else "running")
