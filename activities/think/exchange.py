"""The exchange with a model: its request, its reply, and repairs of a reply."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keyturn.activities import prompt
from keyturn.activities import reply as activities_reply
from keyturn.activities.llm.attempt import Answered, stored
from keyturn.activities.llm.gateway import SAFER, Models
from keyturn.activities.reply import Checked
from keyturn.activities.think.draft import Asked
from keyturn.activities.think.fallback import Fallback, Held
from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.rules.text.transcript import ModelReply, ModelRequest
from keyturn.orchestrator.store.budgets import settlement
from keyturn.orchestrator.store.budgets.settlement import Stored
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.turns import position as turn_position
from keyturn.orchestrator.store.turns import transcript
from keyturn.orchestrator.store.turns.position import Position
from keyturn.orchestrator.store.turns.transcript import PastTurn

# An invalid reply goes back this often before the contract's fallback is taken.
REPAIRS = 2


@dataclass(frozen=True)
class Exchange:
    """Asks a model until its reply is valid; paid replies are not requested again."""

    store: Store
    models: Models

    async def earlier(self, position: Position) -> tuple[dict[int, Stored], list[str]]:
        """Return this turn's replies so far, by their number, and its lost attempts."""
        found = await settlement.earlier(
            self.store, run=position.run.id, turn=position.turn
        )
        base = _base(position)
        own = [one for one in found.replies if base <= one.number < base + SAFER]
        lost = [name for name, number in found.lost if base <= number < base + SAFER]
        # If two workers asked at once, the first reply counts.
        return {(one.number - base) // 10: one for one in reversed(own)}, lost

    async def reply(
        self, position: Position, kept: Mapping[int, Stored], lost: Sequence[str]
    ) -> tuple[Answered, Checked, "Counter[Asked] | None"]:
        """Return a valid reply, after at most two repairs, and the calls so far.

        A reply in `kept` is not requested again: it is paid for.
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
            if refused is not None:
                await settlement.note(self.store, answered.attempt, refused)
                raise Fallback("refusal", refused)
            if isinstance(checked, Checked):
                return answered, checked, seen
            await settlement.note(self.store, answered.attempt, checked.why)
            if number == REPAIRS:
                raise Fallback("invalid_output", checked.why)
            number += 1
            messages = checked.messages
            request = request.model_copy(
                update={"messages": (*request.messages, *messages)}
            )

    async def _check_lost(self, lost: Sequence[str]) -> None:
        """Stop asking where workers die repeatedly over a request that may be paid."""
        await settlement.charge_lost(self.store, lost)
        if len(lost) >= settlement.LOST_TRIES:
            raise Fallback(
                "code_error",
                f"{len(lost)} requests of this turn were lost with their workers, and "
                "may be paid for; it is not asked again",
            )

    async def _request(
        self, position: Position
    ) -> tuple[ModelRequest, "Counter[Asked] | None"]:
        """Return the request, and all calls so far if the request holds all of them."""
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
        check_held(fresh)
        return fresh


def check_held(position: Position) -> None:
    """Raise `Held` where a cancel, pause or halt prevents the turn."""
    run = position.run
    if hold.is_over(run):
        raise Held(None)
    # A disable prevents new actions; the run itself continues.
    found = hold.held(run, position.switches)
    if found is not None:
        raise Held(found)


def _base(position: Position) -> int:
    return SAFER if position.run.use_safer_model else 0


def _check_tools(past: Sequence[PastTurn]) -> None:
    """Take the fallback where a tool of the previous turn failed."""
    for call in past[-1].calls if past else ():
        if call.status == "crashed":
            raise Fallback("tool_failure", f"{call.tool} cannot be used now")


def _refusal(reply: ModelReply) -> str | None:
    if reply.refusal or reply.stop in ("refusal", "filter"):
        return reply.refusal or reply.text or f"the provider stopped: {reply.stop_raw}"
    return None
