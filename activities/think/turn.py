"""A turn: asked, drafted, committed, and its quick reads answered."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from pydantic import JsonValue

from keyturn.activities import compensation
from keyturn.activities.interface import CallInput, GatedCall, ThinkResult
from keyturn.activities.retry import keep_trying
from keyturn.activities.run_tool import RunTool
from keyturn.activities.think.draft import Drafts
from keyturn.activities.think.exchange import Exchange
from keyturn.activities.think.fallback import Fallback
from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.contract.tool import ToolError
from keyturn.orchestrator.rules.money.budget import Needs
from keyturn.orchestrator.rules.money.scope import BudgetScope
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.budgets import limits
from keyturn.orchestrator.store.budgets.settlement import Stored
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.effects import compensation as effect_compensation
from keyturn.orchestrator.store.effects.errors import NoCompensation
from keyturn.orchestrator.store.turns import commit
from keyturn.orchestrator.store.turns import position as turn_position
from keyturn.orchestrator.store.turns.position import Position
from keyturn.orchestrator.store.turns.turn import Committed, GaveUp, Turn

# How long a reply waits for an unavailable store.
COMMIT_WITHIN = timedelta(minutes=2)


@dataclass(frozen=True)
class Turns:
    """Makes and commits the next turn of a step."""

    store: Store
    exchange: Exchange
    drafts: Drafts
    reads: RunTool

    async def make(self, position: Position, *, ends_run: bool) -> ThinkResult:
        """Commit the next turn of a step, and return the rest of its work."""
        if position.run.compensates is not None:
            return await self._compensate(position)
        await self._check_turns(position)
        kept, lost = await self.exchange.earlier(position)
        position = _as_sent(position, kept)
        answered, checked, seen = await self.exchange.reply(position, kept, lost)
        output = checked.output
        if output is not None and position.step.kind == "act":
            _check_confidence(output, position.release)
        drafted = await self.drafts.of(position, checked, seen)
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
        needs = Needs(scope=str(BudgetScope.of_run(position.run.id)), turns=used + 1)
        words = f"all {may} turns of the budget are used"
        raise Fallback("budget", words, needs=needs)

    async def _compensate(self, position: Position) -> ThinkResult:
        """Draft the action that reverses an effect; when it has ended, end the run.

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
            drafted = compensation.draft(self.drafts.toolbox, wanted)
        except ToolError as error:
            return await self._end(position, turn, GaveUp(reason=str(error)))
        call = await self.drafts.read_facts(position, drafted)
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
        """Answer a turn of quick reads at once; leave other calls to the workflow.

        The turn is committed: a retry leaves all of them to the workflow, and answered
        ones are not read again.
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


def _result(
    made: Committed,
    output: Mapping[str, JsonValue] | None,
    is_ask: bool,  # noqa: FBT001 a property of the turn, not a mode
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


def _as_sent(position: Position, kept: Mapping[int, Stored]) -> Position:
    """Return the position as of the kept replies; later words are the next turn's."""
    if not kept:
        return position
    saw = {message for one in kept.values() for message in one.saw}
    return replace(position, unread=[m for m in position.unread if m.id in saw])


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
