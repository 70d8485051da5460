"""A desk, what its worker can ask, and the switch of one cell of the table of modes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

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
from keyturn.orchestrator.rules.text.transcript import ModelReply, ModelRequest, Usage
from keyturn.orchestrator.store.switches import switches
from tests.orchestrator.store.desk import Desk

OTHER = "anthropic/claude-haiku-4-5"


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
