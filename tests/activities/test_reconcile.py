"""P2: a look-up proves an absence only where it began once all had settled."""

from dataclasses import dataclass, replace
from datetime import timedelta

from pydantic import JsonValue
from temporalio.testing import ActivityEnvironment

from keyturn.activities.guard import Guard
from keyturn.activities.interface import ActResult, CallInput
from keyturn.activities.perform import Perform
from keyturn.activities.toolbox import Actor, Toolbox
from keyturn.activities.watch import Watch
from keyturn.orchestrator.rules.contract import registry
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.turns.turn import DraftedCall
from tests.orchestrator.store.desk import Desk


@dataclass
class SlowShop:
    """A shop whose answer is of the moment it was asked, and comes `late` after."""

    desk: Desk
    late: timedelta

    def __call__(self, actor: Actor) -> "SlowShop":
        del actor
        return self

    def reader(self, service: str) -> "SlowShop":
        del service
        return self

    async def get(self, path: str) -> JsonValue:
        del path
        self.desk.clock.go_on(self.late)
        return None


async def unknown(desk: Desk) -> str:
    """Return a run whose payment was sent, and nobody knows what became of it."""
    run = await desk.start()
    arguments: JsonValue = {
        "order_id": "o1",
        "amount": {"amount": 5_00, "currency": "USD"},
        "reason": "",
    }
    drafted = DraftedCall(
        index=0,
        tool="pay",
        provider_id="call_1",
        arguments=canonical.text(arguments),
        preview="{}",
        money=Money(5_00, "USD"),
    )
    await desk.draft(run, drafted)
    await desk.record(await desk.send(run), "unknown", "time-out")
    return run


class Ticks:
    """A process's own clock: it goes on by itself, or stands still."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.now_s, self.step_s = 0.0, step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


async def look_up(
    desk: Desk,
    run: str,
    late: timedelta,
    watch: Watch | None = None,
    **changes: object,
) -> ActResult:
    """Have the worker's code look it up, with these `changes` to its tool."""
    tools = dict(registry.load(("tests.apps.desk",)).tools)
    tools["pay"] = replace(tools["pay"], **changes)  # pyright: ignore[reportArgumentType] a test's own
    toolbox = Toolbox(tools=tools, connectors=SlowShop(desk, late))  # pyright: ignore[reportArgumentType] it reads alone
    perform = Perform(
        store=desk.store,
        trust=desk.trust,
        toolbox=toolbox,
        holder="w1",
        guard=Guard(desk.store, pauses_s=()),
        # It has known of it for long, unless a test says otherwise.
        watch=watch or Watch(Ticks(step_s=60)),
    )
    wanted = CallInput(run=run, turn=1, index=0)
    return await ActivityEnvironment().run(perform, wanted)


async def test_p02_a_look_up_that_began_too_early_proves_nothing_when_it_ends(
    desk: Desk,
) -> None:
    run = await unknown(desk)

    answer = await look_up(desk, run, late=timedelta(minutes=1))

    assert (answer.kind, answer.until is not None) == ("unknown", True)
    assert (await desk.effect(f"{run}:1.0.0")).status == "unknown"


async def test_p02_a_look_up_of_what_has_settled_proves_an_absence(
    desk: Desk,
) -> None:
    run = await unknown(desk)
    desk.clock.go_on(timedelta(minutes=1))

    assert (await look_up(desk, run, late=timedelta(0))).kind == "failed"


async def test_p02_a_clock_that_jumps_ahead_proves_no_absence(desk: Desk) -> None:
    """The record's says an hour later; this process has known of it for a moment."""
    run = await unknown(desk)
    desk.clock.go_on(timedelta(hours=1))
    ticks = Ticks()
    watch = Watch(ticks)

    at_once = await look_up(desk, run, timedelta(0), watch)
    ticks.now_s += 31
    later = await look_up(desk, run, timedelta(0), watch)

    assert (at_once.kind, at_once.until is not None) == ("unknown", True)
    assert later.kind == "failed"


def test_p02_a_later_attempt_is_known_for_a_time_of_its_own() -> None:
    ticks, span = Ticks(), timedelta(seconds=30)
    watch = Watch(ticks)
    watch.note("run-1:1.0.0", 1)
    ticks.now_s += 31

    assert watch.left("run-1:1.0.0", 1, of=span) is None
    assert watch.left("run-1:1.0.0", 2, of=span) == span


async def test_p02_code_that_lost_its_look_up_settles_nothing(desk: Desk) -> None:
    """A run keeps its release, whose tool has a look-up; the worker is newer."""
    run = await unknown(desk)
    desk.clock.go_on(timedelta(minutes=1))

    answer = await look_up(desk, run, late=timedelta(0), reconcile=None)

    assert answer.kind == "unknown"
    assert (await desk.effect(f"{run}:1.0.0")).status == "unknown"
    assert (await desk.call(run)).status == "open"
