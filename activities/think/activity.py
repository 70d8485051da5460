"""The activity `think`: one turn of a run, idempotent per run and turn."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import cast

from pydantic import JsonValue
from temporalio import activity

from keyturn.activities import compensation, forgery, guard, prompt
from keyturn.activities import reply as activities_reply
from keyturn.activities.interface import CallInput, GatedCall, ThinkInput, ThinkResult
from keyturn.activities.llm.attempt import Answered, stored
from keyturn.activities.llm.gateway import SAFER, Models
from keyturn.activities.reply import Checked, CheckedCall, Invalid
from keyturn.activities.retry import keep_trying
from keyturn.activities.run_tool import RunTool
from keyturn.activities.think.fallback import Fallback, Held, Rerouted
from keyturn.activities.toolbox import Toolbox, notice_of
from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.rules.authority.hold import Hold
from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.contract.tool import ToolError
from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.rules.loop_guard import END_AT, judge_repeat
from keyturn.orchestrator.rules.money.budget import Needs
from keyturn.orchestrator.rules.text import canonical, model_notices
from keyturn.orchestrator.rules.text.transcript import ModelReply, ModelRequest
from keyturn.orchestrator.store.budgets import limits, settlement
from keyturn.orchestrator.store.budgets.settlement import Stored
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.effects import compensation as effect_compensation
from keyturn.orchestrator.store.effects.errors import NoCompensation
from keyturn.orchestrator.store.runs import faults
from keyturn.orchestrator.store.tables import StepRow
from keyturn.orchestrator.store.turns import commit, transcript
from keyturn.orchestrator.store.turns import position as turn_position
from keyturn.orchestrator.store.turns.errors import EndHeld
from keyturn.orchestrator.store.turns.position import Position
from keyturn.orchestrator.store.turns.transcript import PastTurn
from keyturn.orchestrator.store.turns.turn import Committed, DraftedCall, GaveUp, Turn

# A tool and the hash of its arguments: what the loop guard counts.
Asked = tuple[str, str]

# An invalid reply goes back this often before the contract's fallback is taken.
REPAIRS = 2
# Facts that cannot be read are read again after these pauses, in seconds.
FACTS_PAUSES_S = (0, 0.5, 1, 2)
# How long a reply waits for a store that is away.
COMMIT_WITHIN = timedelta(minutes=2)


@dataclass(frozen=True)
class Think:
    """Thinks one turn: asks the model, checks, judges, commits."""

    store: Store
    models: Models
    toolbox: Toolbox
    reads: RunTool
    guard: guard.Guard

    @activity.defn(name="think")
    async def __call__(self, wanted: ThinkInput) -> ThinkResult:
        """Return the turn's result; a retry after the commit returns the stored one."""
        beating = asyncio.create_task(_heartbeat())
        try:
            return await self.guard.keep(
                wanted.run,
                faults.turn_place(wanted.turn),
                lambda: self._think(wanted),
                lambda: self._give_up(wanted),
            )
        finally:
            beating.cancel()

    async def _give_up(self, wanted: ThinkInput) -> ThinkResult:
        """Return the contract's fallback for code that fails; its reason is stored."""
        action: str = "hand_off"
        try:
            action = (await self._position(wanted)).release.fallback.code_error
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 a person has it then
            # What cannot be read may be what fails: then a person has it.
            activity.logger.exception("fallback unreadable: %s", wanted.run)
        kind = "failed" if action == "fail" else "hand_off"
        return ThinkResult(kind=kind, reason="code_error")

    async def _think(self, wanted: ThinkInput) -> ThinkResult:
        if wanted.start is not None:
            await self._begin(wanted)
        position = await self._position(wanted)
        if position.result is not None:
            # What its calls wait for may have come and gone: each looks at once.
            known = ThinkResult.model_validate_json(position.result)
            return known.model_copy(update={"stored": True})
        if position.out_of_order is not None:
            await forgery.refuse(self.store, wanted.run, position.out_of_order)
        try:
            self._check_held(position)
            has_stood = position.run.status in ("stopped", "queued")
            if has_stood or position.step.held_by is not None:
                await turn_position.go_on(self.store, wanted.run, wanted.step)
            return await self._turn(position, ends_run=wanted.ends_run)
        except (Held, EndHeld) as held:
            return await self._stop(wanted, position, held.by)
        except Rerouted:
            return await self._think(wanted.model_copy(update={"start": None}))
        except Fallback as fallback:
            return await self._fall_back(wanted, position, fallback)

    async def _begin(self, wanted: ThinkInput) -> None:
        start = wanted.start
        if start is None:
            return
        step = StepRow(
            run=wanted.run,
            step=wanted.step,
            name=start.name,
            kind=start.kind,
            instructions=start.instructions,
            output_schema=start.output_schema,
        )
        await turn_position.begin_step(self.store, step, prompt.opening)

    async def _position(self, wanted: ThinkInput) -> Position:
        return await turn_position.load(
            self.store, run=wanted.run, step=wanted.step, turn=wanted.turn
        )

    def _check_held(self, position: Position) -> None:
        run = position.run
        if hold.is_over(run):
            raise Held(None)
        # What is disabled begins no new actions; the run itself goes on.
        found = hold.held(run, position.switches)
        if found is not None:
            raise Held(found)

    async def _turn(self, position: Position, *, ends_run: bool) -> ThinkResult:
        if position.run.compensates is not None:
            return await self._compensate(position)
        await self._check_turns(position)
        kept, lost = await self._earlier(position)
        position = _as_sent(position, kept)
        answered, checked, seen = await self._reply(position, kept, lost)
        output = checked.output
        if output is not None and position.step.kind == "act":
            _check_confidence(output, position.release)
        drafted = await self._draft(position, checked, seen)
        turn = Turn(
            run=position.run.id,
            step=position.step.step,
            turn=position.turn,
            provider=answered.provider,
            model=answered.reply.model,
            text=canonical.text({"text": checked.text}),
            calls=drafted,
            output=output,
            used=answered.used,
            duration_ms=answered.duration_ms,
            read_messages=tuple(m.id for m in position.unread if m.id is not None),
            ends_run=ends_run,
        )
        is_ask = position.step.kind == "ask"

        def to_result(made: Committed) -> str:
            return _result(made, output if made.is_final else None, is_ask)

        result = await keep_trying(
            lambda: commit.commit(self.store, turn, to_result, position),
            within=COMMIT_WITHIN,
        )
        return await self._read(position, ThinkResult.model_validate_json(result))

    async def _check_turns(self, position: Position) -> None:
        done = position.turn - turn_position.first_turn(position.step.step)
        used, may = max(position.run.turns, done), position.release.budget.turns
        if used < may:
            return
        raised = await limits.raised_turns(self.store, position.run.id)
        if used < (may := max(may, raised or 0)):
            return
        needs = Needs(scope=f"run {position.run.id}", turns=used + 1)
        words = f"all {may} turns of the budget are used"
        raise Fallback("budget", words, needs=needs)

    async def _compensate(self, position: Position) -> ThinkResult:
        """Draft the action that takes an effect back; when it has ended, end the run.

        No model is asked.
        """
        turn = Turn(run=position.run.id, step=position.step.step, turn=position.turn)
        try:
            wanted = await effect_compensation.load(self.store, position.run)
        except NoCompensation as error:
            return await self._end(position, turn, GaveUp(reason=str(error)))
        said = canonical.text({"text": wanted.words})
        turn = turn.model_copy(update={"text": said})
        if wanted.call is not None:
            return await self._end(position, turn, compensation.gave_up(wanted))
        try:
            drafted = compensation.draft(self.toolbox, wanted)
        except ToolError as error:
            return await self._end(position, turn, GaveUp(reason=str(error)))
        call = await self._read_facts(position, drafted)
        turn = turn.model_copy(update={"calls": (call,)})

        def to_result(made: Committed) -> str:
            return _result(made, None, is_ask=False)

        committed = await commit.commit(self.store, turn, to_result, position)
        return ThinkResult.model_validate_json(committed)

    async def _end(
        self, position: Position, turn: Turn, why: GaveUp | None
    ) -> ThinkResult:
        """Commit the last turn of a compensating run."""
        result = ThinkResult(kind="final" if why is None else "hand_off")
        text = result.model_dump_json(exclude_defaults=True)
        committed = await commit.commit(
            self.store,
            turn.model_copy(update={"gave_up": why}),
            lambda _: text,
            position,
        )
        return ThinkResult.model_validate_json(committed)

    async def _read(self, position: Position, result: ThinkResult) -> ThinkResult:
        """Answer a turn of quick reads at once; other calls are the workflow's.

        The turn is committed: a retry leaves them all to the workflow, and those that
        have their answer are not read again.
        """
        if any(call.gate not in ("read", "denied") for call in result.calls):
            return result
        wanted = [
            CallInput(run=position.run.id, turn=position.turn, index=call.index)
            for call in result.calls
            if call.gate == "read"
        ]
        answered = await self.reads.at_once(wanted)
        left = tuple(call for call in result.calls if call.index not in answered)
        return result.model_copy(update={"calls": left})

    async def _earlier(self, position: Position) -> tuple[dict[int, Stored], list[str]]:
        """Return this turn's replies so far, by their number, and what was lost of it."""
        found = await settlement.earlier(
            self.store, run=position.run.id, turn=position.turn
        )
        base = _base(position)
        own = [one for one in found.replies if base <= one.number < base + SAFER]
        lost = [name for name, number in found.lost if base <= number < base + SAFER]
        # Of two workers that asked at once, the first's reply counts.
        return {(one.number - base) // 10: one for one in reversed(own)}, lost

    async def _check_lost(self, lost: Sequence[str]) -> None:
        """Ask no more where workers die again and again over what may be paid for."""
        await settlement.charge_lost(self.store, lost)
        if len(lost) >= settlement.LOST_TRIES:
            raise Fallback(
                "code_error",
                f"{len(lost)} requests of this turn were lost with their workers, and "
                "may be paid for; it is not asked again",
            )

    async def _reply(
        self, position: Position, kept: Mapping[int, Stored], lost: Sequence[str]
    ) -> tuple[Answered, Checked, "Counter[Asked] | None"]:
        """Return a reply that fits, after at most two repairs, and what was asked.

        A reply that is `kept` is not asked for again: it is paid.
        """
        request, seen = await self._request(position)
        schema = prompt.output_schema(position)
        number = 0
        while True:
            if number not in kept:
                await self._check_lost(lost)
            answered = (
                stored(kept[number])
                if number in kept
                else await self.models.ask(
                    position,
                    request,
                    lambda: self._watch(position),
                    number=_base(position) + number * 10,
                )
            )
            checked = await activities_reply.check_aside(
                answered.reply,
                position.release,
                schema,
                is_ask=position.step.kind == "ask",
            )
            refused = _refusal(answered.reply)
            if isinstance(checked, Checked) and refused is None:
                return answered, checked, seen
            why = refused or cast("Invalid", checked).why
            await settlement.note(self.store, answered.attempt, why)
            if refused is not None:
                raise Fallback("refusal", refused)
            if number == REPAIRS:
                raise Fallback("invalid_output", why)
            number += 1
            told = cast("Invalid", checked).told
            request = request.model_copy(
                update={"messages": (*request.messages, *told)}
            )

    async def _request(
        self, position: Position
    ) -> tuple[ModelRequest, "Counter[Asked] | None"]:
        """Return the request, and all calls so far where none was left out of it."""
        window = position.release.window
        opened, past, is_cut = await transcript.read(
            self.store,
            run=position.run.id,
            step=position.step.step,
            turn=position.turn,
            window_bytes=window * prompt.BYTES_PER_TOKEN if window else None,
        )
        _check_tools(past)
        request = prompt.build(
            position, model="", opened=opened, past=past, is_cut=is_cut
        )
        seen = Counter((c.tool, c.arguments_hash) for turn in past for c in turn.calls)
        return request, None if is_cut else seen

    async def _watch(self, position: Position) -> Position:
        fresh = await turn_position.load(
            self.store,
            run=position.run.id,
            step=position.step.step,
            turn=position.turn,
        )
        self._check_held(fresh)
        return fresh

    async def _draft(
        self, position: Position, checked: Checked, seen: "Counter[Asked] | None"
    ) -> tuple[DraftedCall, ...]:
        """Return the calls with facts and money read, and guards' answers."""
        wanted = [
            (c.tool, canonical.digest(_parsed(c.arguments))) for c in checked.calls
        ]
        counts = seen
        if counts is None:
            counts = await transcript.repeats(
                self.store, run=position.run.id, step=position.step.step, wanted=wanted
            )
        drafted: list[DraftedCall] = []
        for index, (call, key) in enumerate(zip(checked.calls, wanted, strict=True)):
            counts[key] = counts.get(key, 0) + 1
            drafted.append(await self._draft_one(position, call, index, counts[key]))
        return tuple(drafted)

    async def _draft_one(
        self, position: Position, call: CheckedCall, index: int, count: int
    ) -> DraftedCall:
        drafted = DraftedCall(
            index=index,
            tool=call.tool,
            provider_id=call.provider_id,
            arguments=call.arguments,
        )
        match judge_repeat(count):
            case "end":
                raise Fallback(
                    "loop",
                    f"{call.tool} was asked for {END_AT} times with the same words",
                )
            case "warn":
                repeated = model_notices.call_repeated(count=count)
                return drafted.model_copy(update={"answer": repeated})
            case "go":
                pass
        if not position.release.tool(call.tool).is_action:
            return drafted
        return await self._read_facts(position, drafted)

    async def _read_facts(
        self, position: Position, drafted: DraftedCall
    ) -> DraftedCall:
        call = f"{position.run.id}:{position.turn}.{drafted.index}"
        context = self.toolbox.context(position.run, call)
        for pause in FACTS_PAUSES_S:
            await asyncio.sleep(pause)
            try:
                preview, money = await self.toolbox.read(
                    position.release.tool(drafted.tool),
                    drafted.arguments,
                    context,
                    never_sees=position.release.never_sees,
                )
            except ToolError as error:
                answer = {"answer": notice_of(error), "answer_status": "failed"}
                return drafted.model_copy(update=answer)
            except Exception as error:  # noqa: BLE001 recorded below
                # Tried again here, and the next turn takes the fallback.
                activity.logger.exception("facts of %s unreadable", drafted.tool)
                place = faults.call_place(position.turn, drafted.index)
                await faults.note(
                    self.store, position.run.id, guard.fault(place, error)
                )
            else:
                return drafted.model_copy(update={"preview": preview, "money": money})
        unreadable = model_notices.call_facts_unreadable(tool=drafted.tool)
        answer = {"answer": unreadable, "answer_status": "crashed"}
        return drafted.model_copy(update=answer)

    async def _stop(
        self,
        wanted: ThinkInput,
        position: Position,
        by: Hold | None,
        needs: Needs | None = None,
    ) -> ThinkResult:
        if by is None:
            return ThinkResult(kind="cancelled")
        if await turn_position.stop(self.store, position, by, needs):
            return ThinkResult(kind="stopped")
        # It was lifted or raised meanwhile, so nobody would ring: look again at once.
        return await self._think(wanted.model_copy(update={"start": None}))

    async def _fall_back(
        self, wanted: ThinkInput, position: Position, fallback: Fallback
    ) -> ThinkResult:
        action = getattr(position.release.fallback, fallback.kind)
        if action == "safer_model" and await turn_position.use_safer_model(
            self.store, wanted.run
        ):
            return await self._think(wanted.model_copy(update={"start": None}))
        if action == "stop":
            needs = fallback.needs or Needs(scope=f"run {wanted.run}")
            return await self._stop(
                wanted, position, hold.by_budget(needs.scope), needs
            )
        result = ThinkResult(
            kind="failed" if action == "fail" else "hand_off", reason=fallback.kind
        )
        # Committed, so that a retry neither asks nor pays again. The words stay in the
        # store: they may hold the model's own.
        turn = Turn(
            run=wanted.run,
            step=wanted.step,
            turn=wanted.turn,
            gave_up=GaveUp(
                reason=f"{fallback.kind}: {fallback.detail}", left=fallback.left
            ),
        )
        text = result.model_dump_json(exclude_defaults=True)
        committed = await commit.commit(self.store, turn, lambda _: text, position)
        return ThinkResult.model_validate_json(committed)


def _result(
    made: Committed,
    output: Mapping[str, JsonValue] | None,
    is_ask: bool,  # noqa: FBT001 a fact, not a mode
) -> str:
    if output is not None:
        value = dict(output) if is_ask else None
        last = ThinkResult(kind="final", value=value, run_ended=made.ends_run)
        return last.model_dump_json(exclude_defaults=True)
    calls = tuple(
        GatedCall(index=g.index, gate=g.gate, last=g.last, until=g.until)
        for g in made.calls
    )
    # `kind` has no default, so it is always written.
    return ThinkResult(kind="calls", calls=calls).model_dump_json(exclude_defaults=True)


def _base(position: Position) -> int:
    return SAFER if position.run.use_safer_model else 0


def _as_sent(position: Position, kept: Mapping[int, Stored]) -> Position:
    """Return the position as the kept replies knew it: later words are the next turn's."""
    if not kept:
        return position
    saw = {message for one in kept.values() for message in one.saw}
    return replace(position, unread=[m for m in position.unread if m.id in saw])


def _check_tools(past: Sequence[PastTurn]) -> None:
    """Take the fallback where a tool of the turn before broke down."""
    for call in past[-1].calls if past else ():
        if call.status == "crashed":
            raise Fallback("tool_failure", f"{call.tool} cannot be used now")


def _check_confidence(output: Mapping[str, JsonValue], release: Release) -> None:
    if release.confidence is None:
        return
    value = output.get(release.confidence)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or Decimal(str(value)) < release.min_confidence:
        raise Fallback(
            "low_confidence",
            f"the model's {release.confidence} is {value}, under "
            f"{release.min_confidence}",
            left="\n".join(f"{name}: {said}" for name, said in output.items()),
        )


def _refusal(reply: ModelReply) -> str | None:
    if reply.refusal or reply.stop in ("refusal", "filter"):
        return reply.refusal or reply.text or f"the provider stopped: {reply.stop_raw}"
    return None


def _parsed(arguments: str) -> JsonValue:
    return canonical.parse(arguments)


async def _heartbeat() -> None:
    while True:
        # The time-out counts from the start too: a quick one need not be told of.
        await asyncio.sleep(1)
        activity.heartbeat()
