"""Effects, contracts, tools, releases, audit, figures: what people read."""

import httpx2
import pytest
from sqlmodel import select

from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.integrity.sealer import Sealer
from keyturn.orchestrator.store.tables import AuditRow, CallRow
from tests.approvals import scraper
from tests.approvals.desk import RELEASE, Desk
from tests.approvals.people import People

API = "/api/v1"


async def test_an_unknown_effect_is_found_out_by_a_person(
    http: httpx2.AsyncClient, store: Store, desk: Desk, people: People
) -> None:
    run = await desk.run()
    await desk.approval(run)
    effect = await desk.effect(run)
    headers = await people.token("lea", role="lead")
    found = {"happened": True, "evidence": "Statement of 3 March, line 7."}
    path = f"{API}/effects/{effect.key}"

    listed = await http.get(
        f"{API}/effects", params={"status": "unknown"}, headers=headers
    )
    recorded = await http.post(f"{path}:record", json=found, headers=headers)
    again = await http.post(f"{path}:record", json=found, headers=headers)

    assert [one["key"] for one in listed.json()["items"]] == [effect.key]
    assert listed.json()["items"][0]["money"]["text"] == "100.00 USD"
    assert (recorded.status_code, recorded.json()["status"]) == (200, "done")
    assert recorded.json()["evidence"] == found["evidence"]
    assert recorded.json()["recorded_by"] == (await people.named("lea")).id
    assert again.status_code == 409
    async with store.read() as session:
        call = (await session.execute(select(CallRow))).scalar_one()
    assert call.status == "done"


async def test_an_effect_of_another_tenant_is_not_found(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    run = await desk.run(tenant="south")
    await desk.approval(run)
    effect = await desk.effect(run)
    headers = await people.token("lea", role="lead", tenant="north")
    found = {"happened": True, "evidence": "x"}

    shown = await http.get(f"{API}/effects/{effect.key}", headers=headers)
    recorded = await http.post(
        f"{API}/effects/{effect.key}:record", json=found, headers=headers
    )

    assert (shown.status_code, recorded.status_code) == (404, 404)
    listed = await http.get(f"{API}/effects", headers=headers)
    assert listed.json()["items"] == []


async def test_an_agent_does_not_say_what_happened(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    run = await desk.run()
    await desk.approval(run)
    effect = await desk.effect(run)

    answer = await http.post(
        f"{API}/effects/{effect.key}:record",
        json={"happened": False, "evidence": "x"},
        headers=await people.token("ann"),
    )

    assert answer.status_code == 403


async def test_a_contract_is_shown_with_its_rules(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    del desk
    headers = await people.token("ann")

    listed = await http.get(f"{API}/contracts", headers=headers)
    shown = await http.get(f"{API}/contracts/support", headers=headers)
    none = await http.get(f"{API}/contracts/nothing", headers=headers)

    assert listed.json() == {"items": [shown.json()], "next": None}
    body = shown.json()
    assert body["release"] == RELEASE.hash()
    assert body["rules"][1] == {
        "tool": "refund_order",
        "up_to": {"amount": 50_000, "currency": "USD", "text": "500.00 USD"},
        "when": {},
        "verdict": "ask",
        "approvers": 1,
        "role": "agent",
        "within_s": 14_400,
        "text": "refund_order up to 500.00 USD: ask 1 person of role agent",
    }
    assert body["budget"]["cost_usd"] == "0.50"
    assert body["input"]["required"] == ["customer_id", "text"]
    assert none.status_code == 404
    assert none.json()["known"] == ["support"]


async def test_tools_and_releases_are_shown(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    del desk
    headers = await people.token("ann")

    tools = await http.get(f"{API}/tools", headers=headers)
    tool = await http.get(f"{API}/tools/refund_order", headers=headers)
    releases = await http.get(f"{API}/releases", headers=headers)
    release = await http.get(f"{API}/releases/{RELEASE.hash()}", headers=headers)
    none = await http.get(f"{API}/releases/{'0' * 64}", headers=headers)

    assert [one["name"] for one in tools.json()["items"]] == [
        "find_order",
        "refund_order",
    ]
    assert tool.json()["workflows"] == ["support"]
    assert tool.json()["authority"] == "irreversible"
    [one] = releases.json()["items"]
    assert (one["hash"], one["is_live"]) == (RELEASE.hash(), True)
    assert release.json()["content"]["workflow"] == "support"
    assert none.status_code == 404


async def test_the_audit_log_is_listed_in_order_and_checked(
    http: httpx2.AsyncClient, store: Store, desk: Desk, people: People
) -> None:
    run = await desk.run()
    await desk.approval(run)
    headers = await people.token("aud", role="auditor")
    await Sealer(store).seal()

    whole = await http.get(f"{API}/audit", headers=headers)
    page = await http.get(f"{API}/audit", params={"limit": 1}, headers=headers)
    rest = await http.get(
        f"{API}/audit", params={"cursor": page.json()["next"]}, headers=headers
    )
    of_run = await http.get(f"{API}/audit", params={"run": run.id}, headers=headers)
    finding = await http.get(f"{API}/audit:verify", headers=headers)

    items = whole.json()["items"]
    assert page.json()["items"] + rest.json()["items"] == items
    assert [one["kind"] for one in of_run.json()["items"]] == [
        "run.started",
        "approval.asked",
    ]
    assert finding.json()["intact"] is True
    assert finding.json()["head"] == items[-1]["hash"]


async def test_p13_a_change_to_the_log_is_found(
    http: httpx2.AsyncClient, store: Store, desk: Desk, people: People
) -> None:
    await desk.run()
    headers = await people.token("aud", role="auditor")
    await Sealer(store).seal()
    async with store.write() as session:
        row = await session.get(AuditRow, 1)
        assert row is not None
        row.actor = "nobody"

    finding = await http.get(f"{API}/audit:verify", headers=headers)

    assert finding.json()["intact"] is False
    assert finding.json()["broken_at"] == 1


@pytest.mark.parametrize("role", ["agent", "lead", "developer"])
async def test_the_audit_log_is_not_for_everybody(
    http: httpx2.AsyncClient, people: People, role: str
) -> None:
    headers = await people.token("ann", role=role)

    for path in ("audit", "audit:verify"):
        assert (await http.get(f"{API}/{path}", headers=headers)).status_code == 403


async def test_an_auditor_of_a_tenant_sees_its_rows(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    await desk.run(tenant="south")
    north = await desk.run(tenant="north")
    headers = await people.token("aud", role="auditor", tenant="north")

    rows = (await http.get(f"{API}/audit", headers=headers)).json()["items"]

    assert {row["tenant"] for row in rows} == {"north"}
    assert [row["run"] for row in rows if row["run"]] == [north.id]
    assert (await http.get(f"{API}/audit:verify", headers=headers)).status_code == 403


async def test_figures_are_for_prometheus(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    await desk.approval(await desk.run())
    await http.get(f"{API}/me", headers=await people.token("ann"))

    answer = await http.get("/metrics", headers=scraper.HEADERS)

    assert answer.headers["content-type"].startswith("text/plain")
    for line in (
        'keyturn_runs{status="waiting"} 1.0',
        "keyturn_approvals_pending 1.0",
        "keyturn_outbox_backlog 1.0",
        'keyturn_http_request_seconds_count{method="GET",route="/api/v1/me",status="200"}',
    ):
        assert line in answer.text


async def test_a_server_without_temporal_lives_and_is_ready(
    http: httpx2.AsyncClient,
) -> None:
    lives = await http.get("/healthz")
    ready = await http.get("/readyz")

    assert lives.status_code == 200
    assert ready.json() == {"store": "ok", "temporal": "not used"}
