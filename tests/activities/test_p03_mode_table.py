"""P3: every cell of the table of modes in the reference, tried on every scope it is about.

The cells are read from `docs/reference/statuses.md`: a cell that says something else than
what is tried here, or one that nobody tries, fails. So the table and the code are one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest
from pydantic import JsonValue
from temporalio.testing import ActivityEnvironment

from keyturn.activities.guard import Guard
from keyturn.activities.interface import CallInput, ReadResult, ThinkInput, ThinkResult
from keyturn.activities.llm.gateway import Models
from keyturn.activities.run_tool import RunTool
from keyturn.activities.think.activity import Think
from keyturn.activities.toolbox import Actor, Toolbox
from keyturn.orchestrator.rules.authority.switch import Mode
from keyturn.orchestrator.rules.contract import registry
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.rules.text.transcript import ModelReply, ModelRequest, Usage
from keyturn.orchestrator.store.runs.errors import NotStarted
from keyturn.orchestrator.store.switches import switches
from keyturn.orchestrator.store.tables import AttemptRow, SwitchRow
from keyturn.orchestrator.store.turns.turn import DraftedCall
from tests.depth import SEARCHES
from tests.orchestrator.store.desk import Desk, note, open_desk, refund, top_up

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "statuses.md"
HEADING = "## What each mode of a switch does"
MODES: tuple[Mode, ...] = get_args(Mode)
OTHER = "anthropic/claude-haiku-4-5"
LATER = timedelta(minutes=2)

# What a switch's scope can name, as a run of the desk meets it.
WHOLE: Mapping[str, dict[str, str]] = {
    "everything": {},
    "workflow": {"workflow": "desk"},
    "tenant": {"tenant": "default"},
}
TOOLS: Mapping[str, dict[str, str]] = {
    "tool": {"tool": "TOOL"},
    "corpus": {"corpus": "help"},
    "tool of a workflow": {"tool": "TOOL", "workflow": "desk"},
}
MODELS: Mapping[str, dict[str, str]] = {
    "alias": {"model": "standard"},
    "target": {"model": "openai/gpt-5.2"},
    "model": {"model": "gpt-5.2"},
    "provider": {"provider": "openai"},
}


@dataclass
class Shop:
    """A service that has every order of the customer and takes everything."""

    posted: list[str] = field(default_factory=list[str])

    def __call__(self, actor: Actor) -> "Shop":
        del actor
        return self

    def reader(self, service: str) -> "Shop":
        del service
        return self

    async def get(self, path: str) -> JsonValue:
        order = path.rpartition("/")[2]
        return {"order_id": order, "customer": "c1", "status": "delivered"}


@dataclass
class Scripted:
    """A provider that gives the last answer; `meanwhile` happens before it is there."""

    name: str
    asked: list[str] = field(default_factory=list[str])
    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def reply(self, request: ModelRequest, *, timeout_s: float) -> ModelReply:
        del timeout_s
        self.asked.append(f"{self.name}/{request.model}")
        if self.meanwhile is not None:
            await self.meanwhile()
        return ModelReply(
            text='{"summary": "done", "confidence": 0.9}',
            stop="end",
            stop_raw="stop",
            model=request.model,
            usage=Usage(input_tokens=10, output_tokens=10),
        )

    async def aclose(self) -> None:
        """Keep nothing open."""


@dataclass
class Scene:
    """A desk, what its worker can ask, and the switch of one cell."""

    desk: Desk
    mode: Mode
    scope: dict[str, str]
    providers: dict[str, Scripted]

    async def put(self, tool: str = "set_note") -> None:
        """Set the switch; where it names a tool, this one."""
        scope = {k: tool if v == "TOOL" else v for k, v in self.scope.items()}
        value = OTHER if self.mode == "use_model" else None
        await self.desk.switch(self.mode, value=value, **scope)

    async def lift(self) -> None:
        """Lift it."""
        await switches.clear(self.desk.store, "s1", by="lea", reason="over")

    @property
    def asked(self) -> list[str]:
        """Which models were asked, in order of provider."""
        return [one for each in self.providers.values() for one in each.asked]

    async def think(self, run: str) -> ThinkResult:
        """Think the run's first turn, as a worker does."""
        think = Think(
            self.desk.store,
            Models(self.desk.store, self.providers, {}),
            self._toolbox(),
            self._reads(),
            Guard(self.desk.store),
        )
        wanted = ThinkInput(run=run, step=1, turn=1, ends_run=True)
        return await ActivityEnvironment().run(think, wanted)

    async def read(self, run: str) -> ReadResult:
        """Carry out the run's read."""
        wanted = CallInput(run=run, turn=1, index=0)
        return await ActivityEnvironment().run(self._reads(), wanted)

    def _reads(self) -> RunTool:
        return RunTool(self.desk.store, self._toolbox(), Guard(self.desk.store))

    def _toolbox(self) -> Toolbox:
        tools = registry.load(("tests.apps.desk",)).tools
        return Toolbox(tools=tools, connectors=Shop())  # pyright: ignore[reportArgumentType] it reads alone


Check = Callable[[Scene], Awaitable[None]]


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


NEW_RUN = "a new run"
CALL = "a model call"
READ = "a read"
DRAFT = "an action that is drafted from now on"
WAITS = "an approval that waits, or was given"
DIED = "an action that may have been sent by a worker that died"
END = "the run's end"

# What each cell says, and how it is tried.
CHECKS: Mapping[tuple[str, str], Sequence[Check]] = {
    (NEW_RUN, "is taken in and stands"): (_taken_in,),
    (NEW_RUN, "409"): (_409,),
    (NEW_RUN, "starts"): (_starts,),
    (CALL, "stands; one under way is cut off and charged"): (_is_cut_off,),
    (
        CALL,
        "goes on. Of a model or provider in the scope: the next target is asked; where "
        "none is left, the run stands",
    ): (_goes_on_or_next_target,),
    (CALL, "goes on"): (_model_goes_on,),
    (CALL, "goes to the other model"): (_other_model,),
    (READ, "stands"): (_read_stands,),
    (
        READ,
        "goes on. Of a tool or corpus in the scope: not done, the model is told",
    ): (_read_goes_on_or_is_told,),
    (READ, "goes on"): (_read_goes_on,),
    (DRAFT, "stands"): (_draft_stands,),
    (DRAFT, "denied, the model is told"): (_draft_denied,),
    (DRAFT, "asks one person at least"): (_draft_asks,),
    (DRAFT, "goes on"): (_draft_goes_on,),
    (WAITS, "people may decide; nothing is sent until it is lifted"): (
        _people_may_decide,
        _given_and_kept,
    ),
    (WAITS, "the same; a no is told at once"): (
        _the_same_and_no_is_told,
        _given_and_kept,
    ),
    (WAITS, "asks again where fewer were asked"): (_asks_again,),
    (WAITS, "goes on"): (_approval_goes_on,),
    (DIED, "stands, then goes on as if it had died now"): (_sender_stands,),
    (DIED, "*unknown*: a person finds out"): (_sender_unknown,),
    (DIED, "goes on where a person was asked, else *unknown*"): (
        _sender_unknown_where_nobody_was_asked,
        _sender_goes_on_where_one_was,
    ),
    (DIED, "goes on"): (_sender_goes_on,),
    (END, "stands; the last reply is kept"): (_end_stands,),
    (END, "ends"): (_ends,),
}
# Which scopes bear on a row: what names a model does not bear on a tool's call.
SCOPES: Mapping[str, Mapping[str, dict[str, str]]] = {
    NEW_RUN: WHOLE,
    CALL: {**WHOLE, **MODELS},
    READ: {**WHOLE, **TOOLS},
    DRAFT: {**WHOLE, **TOOLS},
    WAITS: {**WHOLE, **TOOLS},
    DIED: {**WHOLE, **TOOLS},
    END: WHOLE,
}


def _table() -> list[tuple[str, Mode, str]]:
    """Return the cells of the reference: row, mode, what is said."""
    section = REFERENCE.read_text().partition(HEADING)[2].partition("\n## ")[0]
    lines = [one for one in section.splitlines() if one.startswith("|")]
    rows = [[cell.strip() for cell in one.strip("|").split("|")] for one in lines]
    header = [one.strip("`") for one in rows[0][1:]]
    return [
        (row[0], mode, said)
        for row in rows[2:]
        for mode, said in zip(header, row[1:], strict=True)
        if mode in MODES
    ]


TABLE = _table()
CELLS = [
    (row, mode, check)
    for row, mode, said in TABLE
    for check in CHECKS.get((row, said), ())
]
# Each cell with every other scope, the next cell with those between; all in a search.
TRIED = [
    pytest.param(mode, scope, check, id=f"{row}-{mode}-{name}-{check.__name__}")
    for cell, (row, mode, check) in enumerate(CELLS)
    for place, (name, scope) in enumerate(SCOPES.get(row, {}).items())
    if SEARCHES or (cell + place) % 2 == 0
    if not (mode == "use_model" and {"tool", "corpus"} & set(scope))
]


def test_p03_every_cell_of_the_table_of_modes_is_tried() -> None:
    said = {(row, words) for row, _, words in TABLE}

    assert {mode for _, mode, _ in TABLE} == set(MODES)
    assert {row for row, _, _ in TABLE} == set(SCOPES)
    assert said == set(CHECKS)


@pytest.fixture
async def desk(sqlite_tables: str) -> AsyncIterator[Desk]:
    """A desk whose tools all read the corpus `help`."""
    async with open_desk(sqlite_tables) as plain:
        fed = [
            one.model_copy(update={"corpora": ("help",)}) for one in plain.release.tools
        ]
        await plain.go_live(tools=tuple(fed))
        yield plain


@pytest.mark.parametrize(("mode", "scope", "check"), TRIED)
async def test_p03_what_the_table_of_modes_says_is_so(
    desk: Desk, mode: Mode, scope: dict[str, str], check: Check
) -> None:
    providers = {name: Scripted(name) for name in ("openai", "anthropic")}

    await check(Scene(desk, mode, scope, providers))
