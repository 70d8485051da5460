"""Drafted calls: guarded against loops, with their facts and money read."""

import asyncio
from collections import Counter
from dataclasses import dataclass

from temporalio import activity

from keyturn.activities import guard
from keyturn.activities.reply import Checked, CheckedCall
from keyturn.activities.think.fallback import Fallback
from keyturn.activities.toolbox import Toolbox, notice_of
from keyturn.orchestrator.rules.contract.tool import ToolError
from keyturn.orchestrator.rules.loop_guard import END_AT, judge_repeat
from keyturn.orchestrator.rules.text import canonical, model_notices
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.runs import faults
from keyturn.orchestrator.store.turns import transcript
from keyturn.orchestrator.store.turns.position import Position
from keyturn.orchestrator.store.turns.turn import DraftedCall

# A tool and the hash of its arguments: the loop guard counts these.
Asked = tuple[str, str]

# Unreadable facts are read again after these pauses, in seconds.
FACTS_PAUSES_S = (0, 0.5, 1, 2)


@dataclass(frozen=True)
class Drafts:
    """Makes drafts of the calls that a model requested."""

    store: Store
    toolbox: Toolbox

    async def of(
        self, position: Position, checked: Checked, seen: "Counter[Asked] | None"
    ) -> tuple[DraftedCall, ...]:
        """Return the calls with facts and money read, and the guards' answers."""
        wanted = [
            (c.tool, canonical.digest(canonical.parse(c.arguments)))
            for c in checked.calls
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
        return await self.read_facts(position, drafted)

    async def read_facts(self, position: Position, drafted: DraftedCall) -> DraftedCall:
        """Return a draft with its preview and money, or why they are unreadable."""
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
                # Retried here; then the next turn takes the fallback.
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
