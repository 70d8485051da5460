"""A switch that cannot do what it says is not set, and what one would hold is exact."""

import pytest

from keyturn.orchestrator.rules.authority.switch import Mode, Scope, Switch
from keyturn.orchestrator.store.runs import control, end
from keyturn.orchestrator.store.runs.end import Ending
from keyturn.orchestrator.store.switches import impact, switches, unknown_names
from keyturn.orchestrator.store.switches.errors import UnknownNames
from keyturn.orchestrator.store.tables import AuditRow
from tests.orchestrator.store.desk import Desk


async def check(
    desk: Desk,
    scope: dict[str, str],
    *,
    mode: Mode = "halt",
    value: str | None = None,
    anyway: bool = False,
) -> list[str]:
    switch = Switch(
        id="sw-1",
        scope=Scope(**scope),
        mode=mode,
        value=value,
        reason="so",
        author="ops",
        created_at=desk.clock(),
    )
    return await unknown_names.check(desk.store, switch, tenant=None, anyway=anyway)


@pytest.mark.parametrize(
    ("scope", "near"),
    [
        ({"workflow": "deks"}, "Did you mean desk?"),
        ({"tool": "refnd"}, "Did you mean refund?"),
        ({"model": "standart"}, "Did you mean standard?"),
        ({"provider": "openal"}, "Did you mean openai?"),
        ({"tenant": "defualt"}, "Did you mean default?"),
        ({"corpus": "h"}, "There are: none."),
        ({"tool": "refund", "model": "standard"}, "both a tool and a model"),
    ],
    ids=str,
)
async def test_a_switch_on_what_there_is_not_is_refused_with_what_there_is(
    desk: Desk, scope: dict[str, str], near: str
) -> None:
    with pytest.raises(UnknownNames) as caught:
        await check(desk, scope)

    assert near in str(caught.value)
    assert "--anyway" in str(caught.value)
    assert near in " ".join(await check(desk, scope, anyway=True))


@pytest.mark.parametrize(
    "scope",
    [
        {},
        {"workflow": "desk"},
        {"tool": "refund", "workflow": "desk"},
        {"model": "standard"},
        {"provider": "anthropic"},
        {"tenant": "default"},
    ],
    ids=str,
)
async def test_a_switch_on_what_there_is_is_set(
    desk: Desk, scope: dict[str, str]
) -> None:
    assert await check(desk, scope) == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("saffer", "Did you mean safer?"),
        ("openai/", "write provider/model"),
        (
            "google/gemini-3",
            "No worker has a key or an address for the provider google",
        ),
        ("openai/gtp-5.2", "No price is known for openai/gtp-5.2"),
        ("openai/gtp-5.2", "Did you mean openai/gpt-5.2"),
        ("openai/nobody-priced-this", "KEYTURN_PRICES"),
    ],
)
async def test_a_model_that_sends_every_run_to_people_is_refused(
    desk: Desk, value: str, words: str
) -> None:
    await unknown_names.serve(desk.store, ["openai", "anthropic"], [])

    with pytest.raises(UnknownNames) as caught:
        await check(desk, {}, mode="use_model", value=value)

    assert words in str(caught.value)


@pytest.mark.parametrize("value", ["safer", "openai/gpt-5.2"])
async def test_a_model_that_a_worker_can_ask_is_used(desk: Desk, value: str) -> None:
    await unknown_names.serve(desk.store, ["openai", "anthropic"], [])

    assert await check(desk, {}, mode="use_model", value=value) == []


async def test_a_model_that_a_worker_has_a_price_for_is_used(desk: Desk) -> None:
    own = "openai/our-own"
    await unknown_names.serve(desk.store, ["openai"], [own])

    assert await check(desk, {}, mode="use_model", value=own) == []
    with pytest.raises(UnknownNames, match="Did you mean openai/our-own"):
        await check(desk, {}, mode="use_model", value="openai/our-onw")


async def test_what_an_open_run_is_pinned_to_can_be_switched(desk: Desk) -> None:
    run = await desk.start()
    kept = tuple(one for one in desk.release.tools if one.name != "top_up")
    await desk.go_live(tools=kept)

    assert await check(desk, {"tool": "top_up"}) == []
    await control.cancel(desk.store, run, by="lea", reason="enough")
    await end.finish(desk.store, run, Ending(outcome="cancelled"))
    with pytest.raises(UnknownNames):
        await check(desk, {"tool": "top_up"})


async def test_a_warning_that_was_overruled_is_in_the_record(desk: Desk) -> None:
    scope = Scope(tool="refnd")
    warnings = await check(desk, {"tool": "refnd"}, anyway=True)
    barrier = await desk.switch("halt", tool="refund")

    await switches.put(
        desk.store,
        barrier.switch.model_copy(update={"id": "odd", "scope": scope}),
        warnings=warnings,
    )

    [row] = await desk.rows(AuditRow, kind="switch.set", subject="odd")
    assert "Did you mean refund?" in row.payload


async def test_impact_counts_the_runs_whose_release_can_use_it(desk: Desk) -> None:
    helped = desk.release.tools[0].model_copy(update={"corpora": ("help",)})
    await desk.start()
    await desk.go_live(
        tools=(helped, *desk.release.tools[1:-1]),
        aliases=tuple(
            one.model_copy(update={"targets": ("anthropic/claude-haiku-4-5",)})
            for one in desk.release.aliases
        ),
    )
    await desk.start(customer="c2")
    await desk.start(customer="c3")

    async def held(**scope: str) -> int:
        return (await impact.impact(desk.store, Scope(**scope))).runs

    gone = desk.release.tools[-1].name
    assert await held() == 3
    assert (await held(corpus="help"), await held(tool=helped.name)) == (2, 3)
    assert (await held(tool=gone), await held(corpus="x")) == (1, 0)
    assert (await held(provider="openai"), await held(provider="anthropic")) == (1, 3)
    assert (await held(model="openai/gpt-5.2"), await held(model="gpt-9")) == (1, 0)
    assert await held(tool="refund", model="standard") == 0
