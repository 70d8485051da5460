"""How the cells about an action and its approval are tried."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from tests.activities.mode_scene import Check, Scene
from tests.activities.mode_scopes import DIED, DRAFT, WAITS
from tests.orchestrator.store.desk import note, refund, top_up

LATER = timedelta(minutes=2)


async def _drafted(scene: Scene) -> str:
    run = await scene.desk.start()
    await scene.put()
    await scene.desk.draft(run, note())
    return run


async def _draft_stands(scene: Scene) -> None:
    run = await _drafted(scene)

    assert (await scene.desk.lease(run)).kind == "stopped"
    await scene.lift()
    assert (await scene.desk.lease(run)).kind == "leased"


async def _draft_denied(scene: Scene) -> None:
    run = await _drafted(scene)

    call = await scene.desk.call(run)
    assert (call.gate, call.status) == ("denied", "denied")
    assert "It was not done" in str(call.result)


async def _draft_asks(scene: Scene) -> None:
    run = await _drafted(scene)

    assert (await scene.desk.call(run)).gate == "wait"
    assert (await scene.desk.approval(run, "pending")).needed == 1
    assert (await scene.desk.lease(run)).kind == "waiting"


async def _draft_goes_on(scene: Scene) -> None:
    run = await _drafted(scene)

    assert (await scene.desk.lease(run)).kind == "leased"


async def _asked(scene: Scene, *, decided: bool) -> str:
    run = await scene.desk.start(customer="c1")
    await scene.desk.draft(run, refund())
    if decided:
        await scene.desk.decide(run)
    await scene.put("refund")
    return run


async def _decided_and_kept(scene: Scene) -> None:
    waits = await _asked(scene, decided=False)
    await scene.desk.decide(waits)
    assert (await scene.desk.lease(waits)).kind == "stopped"
    await scene.lift()
    await scene.desk.do(waits)


async def _given_and_kept(scene: Scene) -> None:
    given = await _asked(scene, decided=True)
    assert (await scene.desk.lease(given)).kind == "stopped"
    await scene.lift()
    await scene.desk.do(given)


async def _people_may_decide(scene: Scene) -> None:
    await _decided_and_kept(scene)


async def _the_same_and_no_is_told(scene: Scene) -> None:
    await _decided_and_kept(scene)
    second = await scene.desk.start()
    await scene.desk.draft(second, refund(order="o2"))
    await scene.put("refund")
    # A second refund for one customer, after the first: somebody is asked in any case.
    await scene.desk.decide(second, decision="reject")
    assert (await scene.desk.lease(second)).kind == "rejected"


async def _asks_again(scene: Scene) -> None:
    given = await _asked(scene, decided=True)
    assert (await scene.desk.lease(given)).kind == "leased"
    await scene.lift()
    fewer = await scene.desk.start()
    await scene.desk.draft(fewer, note(order="o9"))
    await scene.put()
    assert (await scene.desk.lease(fewer)).kind == "waiting"


async def _approval_goes_on(scene: Scene) -> None:
    waits = await _asked(scene, decided=False)
    await scene.desk.decide(waits)
    assert (await scene.desk.lease(waits)).kind == "leased"


async def _dead_sender(scene: Scene) -> str:
    """Return a run whose worker died while it was sending, under a key that holds."""
    run = await scene.desk.start()
    await scene.desk.draft(run, top_up())
    await scene.desk.send(run)
    await scene.put("top_up")
    scene.desk.clock.go_on(LATER)
    return run


async def _sender_stands(scene: Scene) -> None:
    run = await _dead_sender(scene)

    assert (await scene.desk.lease(run, holder="h2")).kind == "stopped"
    await scene.lift()
    assert (await scene.desk.lease(run, holder="h2")).kind == "leased"


async def _sender_unknown(scene: Scene) -> None:
    run = await _dead_sender(scene)

    assert (await scene.desk.lease(run, holder="h2")).kind == "unknown"
    assert (await scene.desk.effect(f"{run}:1.0.0")).status == "unknown"


async def _sender_unknown_where_nobody_was_asked(scene: Scene) -> None:
    await _sender_unknown(scene)


async def _sender_goes_on_where_one_was(scene: Scene) -> None:
    """The switch was set before, so a person was asked; then the sender died."""
    run = await scene.desk.start()
    await scene.put("top_up")
    await scene.desk.draft(run, top_up())
    await scene.desk.decide(run)
    await scene.desk.send(run)
    scene.desk.clock.go_on(LATER)

    assert (await scene.desk.lease(run, holder="h2")).kind == "leased"


async def _sender_goes_on(scene: Scene) -> None:
    run = await _dead_sender(scene)

    assert (await scene.desk.lease(run, holder="h2")).kind == "leased"


# What each cell of an action and its approval says, and how it is tried.
OF_ACTIONS: Mapping[tuple[str, str], Sequence[Check]] = {
    (DRAFT, "held"): (_draft_stands,),
    (DRAFT, "denied, and the model is told"): (_draft_denied,),
    (DRAFT, "asks at least one person"): (_draft_asks,),
    (DRAFT, "continues"): (_draft_goes_on,),
    (WAITS, "people may decide; nothing is sent until the switch is lifted"): (
        _people_may_decide,
        _given_and_kept,
    ),
    (WAITS, "the same; the model is told of a rejection at once"): (
        _the_same_and_no_is_told,
        _given_and_kept,
    ),
    (WAITS, "asks again if fewer people were asked"): (_asks_again,),
    (WAITS, "continues"): (_approval_goes_on,),
    (DIED, "held, then continues as if the worker had died now"): (_sender_stands,),
    (DIED, "*unknown*: a person finds out"): (_sender_unknown,),
    (DIED, "continues if a person was asked, else *unknown*"): (
        _sender_unknown_where_nobody_was_asked,
        _sender_goes_on_where_one_was,
    ),
    (DIED, "continues"): (_sender_goes_on,),
}
