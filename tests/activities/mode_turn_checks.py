"""How the cells about a run, its model calls, its reads and its end are tried."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from keyturn.activities.interface import ThinkResult
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.runs.errors import NotStarted
from keyturn.orchestrator.store.tables import AttemptRow, SwitchRow
from keyturn.orchestrator.store.turns.turn import DraftedCall
from tests.activities.mode_scene import OTHER, Check, Scene
from tests.activities.mode_scopes import CALL, END, MODELS, NEW_RUN, READ


async def _taken_in(scene: Scene) -> None:
    await scene.put()
    run = await scene.desk.start()

    assert (await scene.think(run)).kind == "stopped"
    assert (await scene.desk.run(run)).stopped_by == "switch s1"
    assert scene.asked == []


async def _409(scene: Scene) -> None:
    await scene.put()

    with pytest.raises(NotStarted, match="takes no new runs"):
        await scene.desk.start()


async def _starts(scene: Scene) -> None:
    await scene.put()
    run = await scene.desk.start()

    assert (await scene.think(run)).kind == "final"


async def _is_cut_off(scene: Scene) -> None:
    run = await scene.desk.start()

    never = asyncio.Event()

    async def meanwhile() -> None:
        # Where another target is left, that one answers.
        if len(scene.asked) == 1:
            await scene.put()
            await never.wait()

    for one in scene.providers.values():
        one.meanwhile = meanwhile
    result = await scene.think(run)
    asked = len(scene.asked)
    again = await scene.think(run)

    # Of two targets of one alias, provider or model, the other one may be off too.
    is_whole = not {"model", "provider"} & set(scene.scope)
    if is_whole or scene.scope == MODELS["alias"]:
        assert (result.kind, again.kind, asked) == ("stopped", "stopped", 1)
        assert (await scene.desk.run(run)).stopped_by == "switch s1"
    attempts = await scene.desk.rows(AttemptRow, run=run)
    cut = next(one for one in attempts if one.provider == "openai")
    assert (cut.status, cut.error) == ("settled", "held")
    assert cut.cost_microusd > 0


async def _goes_on_or_next_target(scene: Scene) -> None:
    await scene.put()
    is_of_model = bool({"model", "provider"} & set(scene.scope))
    run = await _begun(scene)
    result = await scene.think(run)

    if scene.scope == MODELS["alias"]:
        # Nothing that it stands for is left.
        assert (result.kind, scene.asked) == ("stopped", [])
        return
    assert result.kind == "final"
    assert scene.asked[0].startswith("anthropic/" if is_of_model else "openai/")
    if is_of_model:
        await scene.desk.switch("disable", name="s2", provider="anthropic")
        other = await _begun(scene)
        assert (await scene.think(other)).kind == "stopped"


async def _model_goes_on(scene: Scene) -> None:
    await scene.put()
    run = await scene.desk.start()

    assert (await scene.think(run)).kind == "final"
    assert scene.asked == ["openai/gpt-5.2"]


async def _other_model(scene: Scene) -> None:
    await scene.put()
    run = await scene.desk.start()

    assert (await scene.think(run)).kind == "final"
    assert scene.asked == [OTHER]


async def _begun(scene: Scene) -> str:
    """Return a run that began before the switch was set."""
    if scene.mode != "disable" or {"model", "provider"} & set(scene.scope):
        return await scene.desk.start()
    await scene.lift()
    run = await scene.desk.start()
    await scene.put()
    return run


async def _reading(scene: Scene) -> str:
    run = await scene.desk.start()
    arguments = canonical.text({"order_id": "o1"})
    call = DraftedCall(index=0, tool="find_order", provider_id="c", arguments=arguments)
    await scene.desk.draft(run, call)
    await scene.put("find_order")
    return run


async def _read_stands(scene: Scene) -> None:
    run = await _reading(scene)

    assert (await scene.read(run)).kind == "stopped"
    assert (await scene.desk.call(run)).held_by == "switch s1"
    await scene.lift()
    assert (await scene.read(run)).kind == "done"
    assert (await scene.desk.call(run)).status == "done"


async def _read_goes_on_or_is_told(scene: Scene) -> None:
    run = await _reading(scene)
    is_of_tool = bool({"tool", "corpus"} & set(scene.scope))

    assert (await scene.read(run)).kind == "done"
    call = await scene.desk.call(run)
    assert call.status == ("denied" if is_of_tool else "done")
    assert ("is switched off" in str(call.result)) == is_of_tool


async def _read_goes_on(scene: Scene) -> None:
    run = await _reading(scene)

    assert (await scene.read(run)).kind == "done"
    assert (await scene.desk.call(run)).status == "done"


async def _ending(scene: Scene) -> tuple[str, ThinkResult]:
    run = await scene.desk.start()

    async def meanwhile() -> None:
        if not await scene.desk.rows(SwitchRow):
            await scene.put()

    for one in scene.providers.values():
        one.meanwhile = meanwhile
    return run, await scene.think(run)


async def _end_stands(scene: Scene) -> None:
    run, result = await _ending(scene)
    still = await scene.desk.run(run)
    await scene.lift()
    last = await scene.think(run)

    assert (result.kind, still.status) == ("stopped", "stopped")
    assert (last.kind, (await scene.desk.run(run)).status) == ("final", "completed")
    assert len(scene.asked) == 1


async def _ends(scene: Scene) -> None:
    run, result = await _ending(scene)

    assert (result.kind, result.run_ended) == ("final", True)
    assert (await scene.desk.run(run)).status == "completed"


# What each cell of a run, its model calls, reads and end says, and how it is tried.
OF_TURNS: Mapping[tuple[str, str], Sequence[Check]] = {
    (NEW_RUN, "is accepted and held"): (_taken_in,),
    (NEW_RUN, "409"): (_409,),
    (NEW_RUN, "starts"): (_starts,),
    (CALL, "held; one in progress is cancelled and charged"): (_is_cut_off,),
    (
        CALL,
        "continues. If a model or provider is in scope: the next target is tried; if "
        "none is left, the run is held",
    ): (_goes_on_or_next_target,),
    (CALL, "continues"): (_model_goes_on,),
    (CALL, "uses the other model"): (_other_model,),
    (READ, "held"): (_read_stands,),
    (
        READ,
        "continues. If a tool or corpus is in scope: not done, and the model is told",
    ): (_read_goes_on_or_is_told,),
    (READ, "continues"): (_read_goes_on,),
    (END, "held; the last reply is stored"): (_end_stands,),
    (END, "ends"): (_ends,),
}
