"""Records the histories that `make test` replays: `python -m tests.replay.record`.

With names of scenes behind it, only those.

Run it when the order of a workflow's commands has changed for new runs, and write into
a folder of the next number: the older ones stay, for runs that are still open.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import JsonValue

from benchmarks.report import end
from keyturn.activities.llm.simulator import SimRequest, SimStep, call, calls, final
from keyturn.orchestrator.store import migrate
from keyturn.orchestrator.store.effects import compensation
from keyturn.orchestrator.store.runs import control
from tests.engine.engine import Engine, running_engine
from tests.servers import temporal

HISTORIES = Path(__file__).parent / "histories"
# 1: each run ends by an activity. 2: the last turn of its one loop ends it.
FOLDER = HISTORIES / "2"
APPS = ("tests.apps.desk", "tests.apps.branching")
SHIPPED = ("keyturn.workflows.support",)

REFUND: dict[str, JsonValue] = {
    "order_id": "o1",
    "amount": {"amount": 5000, "currency": "USD"},
}
PAID = {**REFUND, "order_id": "o9"}
MAIL: dict[str, JsonValue] = {"subject": "Refund", "body": "Done."}
DONE: dict[str, JsonValue] = {"summary": "done", "confidence": 0.9}


def play(request: SimRequest) -> SimStep | None:
    """Sort, read, refund and write, by what the ticket says."""
    if request.mentions("Thank you."):
        return None
    if request.output_schema and "kind" in str(request.output_schema.get("properties")):
        return final({"kind": "angry" if request.mentions("angry") else "refund"})
    first = {"many bells": ("refund", REFUND), "take it back": ("pay", PAID)}
    for words, asked in first.items():
        if request.mentions(words):
            return [call(*asked), final(DONE)][len(request.results)]
    match len(request.results):
        case 0:
            return calls([("find_order", {"order_id": "o1"}), ("set_note", note())])
        case 2:
            return calls([("refund", REFUND), ("write_mail", MAIL)])
        case _:
            return final(DONE)


# A second write on one subject would ask.
_orders = count(2)


def note() -> dict[str, JsonValue]:
    """Return a note on an order that no other scene has."""
    return {"order_id": f"o{next(_orders)}", "note": "seen"}


async def approved(engine: Engine) -> str:
    """A refund and a mail, both approved."""
    run = await engine.start("please")
    await engine.decide(await engine.approval(run, "refund"))
    await engine.decide(await engine.approval(run, "write_mail"))
    return run


async def rejected(engine: Engine) -> str:
    """A refund that is rejected, and a mail that is void."""
    run = await engine.start("please")
    refund = await engine.approval(run, "refund")
    await engine.decide(refund, decision="reject", reason="no")
    return run


async def paused(engine: Engine) -> str:
    """A run that is paused while it waits, and resumed."""
    run = await engine.start("please")
    refund = await engine.approval(run, "refund")
    await control.pause(engine.store, run, by="amy", reason="wait")
    await engine.decide(refund)
    await asyncio.sleep(1)
    await control.resume(engine.store, run, by="amy", reason="go")
    await engine.deliverer.deliver(run)
    await engine.decide(await engine.approval(run, "write_mail"))
    return run


async def cancelled(engine: Engine) -> str:
    """A run that is cancelled while it waits."""
    run = await engine.start("please")
    await engine.approval(run, "refund")
    await control.cancel(engine.store, run, by="amy", reason="no")
    await engine.deliverer.deliver(run)
    return run


async def branched(engine: Engine) -> str:
    """A workflow with a run of its own."""
    value: dict[str, object] = {"customer_id": "c1", "email": "a@example.com"}
    run = await engine.start_workflow("branching", value | {"text": "please"})
    await engine.decide(await engine.approval(run, "refund"))
    await engine.decide(await engine.approval(run, "write_mail"))
    return run


async def handed_off(engine: Engine) -> str:
    """A workflow that hands off."""
    value: dict[str, object] = {"customer_id": "c1", "email": "a@example.com"}
    return await engine.start_workflow("branching", value | {"text": "angry"})


async def continued(engine: Engine) -> str:
    """A loop that continues as new while it waits."""
    run = await engine.start("many bells")
    refund = await engine.approval(run, "refund")
    handle = engine.parts.client.get_workflow_handle(f"{run}/act/1")
    first = (await handle.describe()).run_id
    while (await handle.describe()).run_id == first:
        await handle.signal("ring")
        await asyncio.sleep(0.05)
    await engine.decide(refund)
    return run


async def compensated(engine: Engine) -> str:
    """The run that takes back a payment."""
    paid = await engine.start("take it back")
    await engine.ended(paid)
    (effect,) = await engine.effects(paid)
    row, _ = await compensation.ask(
        engine.store, effect.key, by="lea", by_name="Lea", reason="A slip."
    )
    await engine.deliverer.deliver(row.id)
    await engine.decide(await engine.approval(row.id))
    return row.id


async def support(engine: Engine) -> str:
    """The shipped support desk."""
    ticket: dict[str, object] = {
        "customer_id": "c1",
        "customer_email": "ann@example.com",
        "subject": "Hello",
        "message": "Thank you.",
    }
    return await engine.start_workflow("support-ticket", ticket)


SCENES: tuple[Callable[[Engine], Awaitable[str]], ...] = (
    approved,
    rejected,
    paused,
    cancelled,
    branched,
    handed_off,
    continued,
    compensated,
)


async def record(scene: Callable[[Engine], Awaitable[str]], engine: Engine) -> None:
    """Play one scene and write the histories of the run and of its loop."""
    run = await scene(engine)
    await engine.ended(run)
    await engine.parts.client.get_workflow_handle(run).result()
    async for name, history in _histories(engine, run):
        path = FOLDER / f"{scene.__name__}-{name}.json"
        path.write_text(history, encoding="utf-8")
        sys.stderr.write(f"{path.name}: {len(history)} bytes\n")


async def _histories(engine: Engine, run: str) -> AsyncIterator[tuple[str, str]]:
    client = engine.parts.client
    whole = await client.get_workflow_handle(run).fetch_history()
    yield "run", whole.to_json()
    for event in whole.events:
        started = event.child_workflow_execution_started_event_attributes
        execution, number = started.workflow_execution.run_id, 0
        while execution:
            number += 1
            handle = client.get_workflow_handle(f"{run}/act/1", run_id=execution)
            if started.workflow_execution.workflow_id.endswith("/act/2"):
                handle = client.get_workflow_handle(f"{run}/act/2", run_id=execution)
            history = await handle.fetch_history()
            yield f"act-{number}", history.to_json()
            last = history.events[-1]
            went_on = last.workflow_execution_continued_as_new_event_attributes
            execution = went_on.new_execution_run_id


async def main() -> int:
    """Record every scene against a real server that suggests continuing early."""
    FOLDER.mkdir(exist_ok=True)
    wanted = sys.argv[1:]
    with TemporaryDirectory() as data:
        started = temporal.dev_server(
            Path(data), "limit.historyCount.suggestContinueAsNew=120"
        )
        server = started.program.start()
        try:
            for apps, scenes in ((APPS, SCENES), (SHIPPED, (support,))):
                url = f"sqlite+aiosqlite:///{data}/{len(scenes)}.db"
                await migrate.upgrade(url)
                async with running_engine(
                    started.address, url, play, apps=apps
                ) as engine:
                    for scene in scenes:
                        if not wanted or scene.__name__ in wanted:
                            await record(scene, engine)
        finally:
            started.program.stop(server)
    return 0


if __name__ == "__main__":
    end(asyncio.run(main()))
