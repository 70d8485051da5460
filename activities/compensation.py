"""A compensating run's turns: the action drafted from a record, and its end."""

from pydantic import BaseModel, JsonValue

from keyturn.activities.toolbox import Toolbox
from keyturn.orchestrator.rules.contract.tool import ToolError
from keyturn.orchestrator.rules.text import canonical, model_notices
from keyturn.orchestrator.store.effects import compensation
from keyturn.orchestrator.store.effects.compensation import Wanted
from keyturn.orchestrator.store.turns.turn import DraftedCall, GaveUp


def draft(toolbox: Toolbox, wanted: Wanted) -> DraftedCall:
    """Return the action that reverses the effect, as its tool computes it.

    Raises `ToolError` where that is impossible.
    """
    effect = wanted.effect
    known = compensation.state(effect)
    if known != "done":
        raise ToolError(f"The effect {effect.key} is {known}, not done.")
    made = toolbox.compensation(effect.tool, effect.arguments, effect.receipt)
    arguments = canonical.text(_plain(made))
    # Like any action's arguments, they must fit the tool that carries them out.
    toolbox.parse(wanted.tool, arguments)
    return DraftedCall(
        index=0, tool=wanted.tool, provider_id="compensate", arguments=arguments
    )


def gave_up(wanted: Wanted) -> GaveUp | None:
    """Return why the action was not done, in words for people; None if it was done."""
    call = wanted.call
    if call is None or call.status == "done":
        return None
    return GaveUp(
        reason=f"{call.tool}, which takes back {wanted.effect.key}, was {call.status}",
        left=model_notices.for_people(call.result or ""),
    )


def _plain(made: BaseModel) -> JsonValue:
    return made.model_dump(mode="json")
