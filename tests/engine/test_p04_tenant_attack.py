"""The tenant attack, end to end: HTTP in, both workers, the shop's writes counted."""

import httpx2
from pydantic import JsonValue

from keyturn.activities.llm.simulator import call
from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.settings import Settings
from tests.approvals.people import People
from tests.engine.engine import Engine, running_engine
from tests.engine.stage import DONE, Plays, refund_of
from tests.tenancy import declare

TENANTS = ("t-1", "t-2", "t-3")


async def _starts(
    engine: Engine, headers: dict[str, str], tenant: str, text: str
) -> str | None:
    """Ask for a run over HTTP; None where it is refused."""
    app = create_app(Settings(), engine.store, engine.deliverer, engine.signer)
    body: dict[str, JsonValue] = {
        "workflow": "desk",
        "tenant": tenant,
        "input": {"customer_id": "c1", "email": "ann@example.com", "text": text},
    }
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url="http://keyturn.test"
    ) as http:
        answer = await http.post("/api/v1/runs", json=body, headers=headers)
    assert answer.status_code in {202, 422}, answer.text
    return answer.json()["id"] if answer.status_code == 202 else None


async def test_p04_one_order_is_refunded_once_unasked_whatever_the_tenants(
    temporal_address: str, tables_url: str
) -> None:
    plays = Plays()
    async with running_engine(temporal_address, tables_url, plays.scenario) as engine:
        texts = [
            f"play:{plays.add(call('refund', refund_of('o1', 15_00)), DONE).name}"
            for _ in TENANTS
        ]
        caller = await People(engine.store).token("caller")
        undeclared = await _starts(engine, caller, "t-1", texts[0])
        await declare(engine.store, *TENANTS)

        runs: list[str] = []
        for tenant, text in zip(TENANTS, texts, strict=True):
            run = await _starts(engine, caller, tenant, text)
            assert run is not None
            runs.append(run)
            await engine.until(run, lambda row: row.status in {"completed", "waiting"})

        statuses = [(await engine.run(run)).status for run in runs]
        posted = [path for path, _, _ in engine.world.posted if path == "/refunds"]
        assert undeclared is None
        assert statuses == ["completed", "waiting", "waiting"]
        assert len(posted) == 1
