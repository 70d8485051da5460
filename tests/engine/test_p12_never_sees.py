"""P12: a field that the contract never sees is found in no request, page or answer."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from pydantic import JsonValue

from keyturn.activities.llm.simulator import call, final
from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.people import sessions
from tests.approvals.people import People
from tests.engine.engine import running_engine
from tests.engine.stage import Play, Plays, Stage
from tests.servers import postgres

CARD = "4111-PLANTED-1111"
BESIDE = "acc-77"


@pytest.fixture
async def stage(
    temporal_address: str, postgres_server: str, postgres_template: str
) -> AsyncIterator[Stage]:
    plays = Plays()
    with postgres.database(postgres_server, template=postgres_template) as url:
        async with running_engine(
            temporal_address, url, plays.scenario, apps=["tests.apps.discreet"]
        ) as engine:
            yield Stage(engine, plays)


async def read(stage: Stage, run: str, approval: str) -> list[httpx2.Response]:
    """Every page and answer that shows the run, as an operator has them."""
    store = stage.engine.store
    app = create_app(Settings(), store, None, stage.engine.signer)
    people = People(store)
    token = await people.token("olga", role="operator")
    opened = await sessions.begin(store, await people.named("olga"), instead_of=None)
    [effect] = await stage.engine.effects(run)
    calls = ["/runs", f"/runs/{run}", f"/runs/{run}/trace", "/approvals", "/audit"]
    calls += [f"/approvals/{approval}", "/effects", f"/effects/{effect.key}"]
    pages = ["/inbox", f"/inbox/{approval}", "/runs", f"/runs/{run}", "/audit"]
    pages += ["/effects", f"/effects/{effect.key}", "/decisions"]
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url="http://keyturn.test"
    ) as http:
        found = [await http.get(f"/api/v1{path}", headers=token) for path in calls]
        http.cookies.set("keyturn", opened.cookie)
        html = {"Accept": "text/html"}
        return found + [await http.get(path, headers=html) for path in pages]


async def settle(stage: Stage) -> tuple[str, str, Play]:
    """Play a run in which each step comes by cards; return it, with its approval."""
    payments: list[JsonValue] = [{"method": "card", "number": CARD}]
    stage.engine.world.orders[BESIDE] = {
        "account_id": BESIDE,
        "card": CARD,
        "secret_number": CARD,
        "payments": payments,
    }
    play = stage.plays.add(
        call("find_account", {"account_id": BESIDE}),
        call("close_account", {"account_id": BESIDE}),
        final({"summary": "closed"}),
    )
    ticket: dict[str, object] = {
        "customer_id": "c1",
        "text": f"play:{play.name}",
        "card": CARD,
        "bankAccount": CARD,
        "payments": [{"number": CARD}],
    }
    run = await stage.engine.start_workflow("discreet", ticket)
    approval = await stage.engine.approval(run)
    await stage.engine.decide(approval)
    assert (await stage.engine.ended(run)).status == "completed"
    return run, approval.id, play


async def test_p12_what_is_never_seen_is_in_no_request_page_or_answer(
    stage: Stage,
) -> None:
    run, approval, play = await settle(stage)
    shown = await read(stage, run, approval)

    assert [one.url.path for one in shown if one.status_code != 200] == []
    assert [one.url.path for one in shown if CARD in one.text] == []
    requests = [str(one.body) for one in play.requests]
    assert len(requests) == 3
    assert not any(CARD in one for one in requests)
    assert BESIDE in requests[-1]
    assert "method" in requests[-1]
