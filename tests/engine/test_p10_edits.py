"""P10: an edit whose facts and money hang on the edited field is done, and once."""

from collections.abc import AsyncIterator

import pytest
from pydantic import JsonValue

from keyturn.activities.llm.simulator import call
from keyturn.orchestrator.rules.text import canonical
from tests.engine.engine import running_engine
from tests.engine.stage import DONE, Plays, Stage
from tests.servers import postgres


@pytest.fixture(scope="module")
async def priced(
    temporal_address: str, postgres_server: str, postgres_template: str
) -> AsyncIterator[Stage]:
    plays = Plays()
    with postgres.database(postgres_server, template=postgres_template) as url:
        async with running_engine(
            temporal_address, url, plays.scenario, apps=("tests.apps.priced",)
        ) as engine:
            yield Stage(engine, plays)


async def test_p10_the_second_person_decides_on_the_facts_of_the_edit(
    priced: Stage, order: str
) -> None:
    run = await _started(priced, order)
    drafted = await priced.engine.approval(run)
    await priced.engine.decide(drafted, arguments=_of(order, "cup", "pot"))

    shown = await priced.engine.approval(run)
    await priced.engine.decide(shown, "bob")
    row = await priced.engine.ended(run)

    assert (drafted.amount, shown.amount) == (12_00, 42_00)
    assert canonical.parse(shown.preview or "") == {"items": {"cup": 1200, "pot": 3000}}
    assert (row.status, priced.posts(run)) == ("completed", ["/refunds"])
    (effect,) = await priced.engine.effects(run)
    assert (effect.status, effect.amount, effect.approvers) == ("done", 42_00, ["bob"])


async def test_p10_an_edit_that_the_tool_refuses_is_asked_again_as_drafted(
    priced: Stage, order: str
) -> None:
    run = await _started(priced, order)
    await priced.engine.decide(
        await priced.engine.approval(run), arguments=_of(order, "spoon")
    )

    again = await priced.engine.approval(run)
    await priced.engine.decide(again)
    row = await priced.engine.ended(run)

    closed = [one.closed_because or "" for one in await priced.engine.approvals(run)]
    assert f"the edit of Amy cannot be done: {order} has no item spoon." in closed
    assert (row.status, priced.posts(run)) == ("completed", ["/refunds"])
    (effect,) = await priced.engine.effects(run)
    assert (effect.status, effect.amount) == ("done", 12_00)


async def _started(stage: Stage, order: str) -> str:
    play = stage.plays.add(call("refund_items", _of(order, "cup")), DONE)
    stage.engine.world.orders[order] = {"prices": {"cup": 12_00, "pot": 30_00}}
    ticket: dict[str, object] = {
        "customer_id": f"c-{order}",
        "email": "ann@example.com",
        "text": f"play:{play.name}",
    }
    return await stage.engine.start_workflow("priced", ticket)


def _of(order: str, *items: str) -> dict[str, JsonValue]:
    return {"order_id": order, "items": list(items)}
