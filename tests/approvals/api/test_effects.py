"""Effects over HTTP: what a person finds out, looks up, or hears of later."""

import asyncio

import httpx2
import pytest
from sqlmodel import select

from keyturn.orchestrator.rules.status import EffectStatus
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.runs import end
from keyturn.orchestrator.store.runs.end import Ending
from keyturn.orchestrator.store.tables import EffectRow, OutboxRow
from tests.approvals.desk import Desk
from tests.approvals.people import People

BOUNCED = {"how": "reversed", "words": "The bank sent it back.", "reference": "B-7"}
NO = {"happened": False, "evidence": "The bank's letter of Monday."}


async def made(
    desk: Desk, status: EffectStatus = "done", *, tenant: str = "default"
) -> str:
    """Return the URL of an effect whose run has ended."""
    run = await desk.run(tenant=tenant)
    await desk.approval(run)
    effect = await desk.effect(run, status=status)
    if status == "done":
        await end.finish(desk.store, run.id, Ending(outcome="completed"))
    return f"/api/v1/effects/{effect.key}"


async def test_later_failure_comes_back_and_is_settled_by_another(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    lea = await people.token("lea", role="lead")
    lou = await people.token("lou", role="lead")
    url = await made(desk)

    reopened = await http.post(f"{url}:reopen", headers=lea, json=BOUNCED)
    own = await http.post(f"{url}:record", headers=lea, json=NO)
    settled = await http.post(f"{url}:record", headers=lou, json=NO)
    again = await http.post(f"{url}:record", headers=lea, json=NO)

    assert reopened.status_code == 200
    assert reopened.json()["status"] == "done"
    assert reopened.json()["reopened_at"] is not None
    assert reopened.json()["later"]["reference"] == "B-7"
    assert own.status_code == 403
    assert (settled.status_code, settled.json()["status"]) == (200, "failed")
    assert settled.json()["reopened_at"] is None
    assert again.status_code == 409
    run = reopened.json()["run"]
    handed = (await http.get(f"/api/v1/runs/{run}", headers=lea)).json()
    assert handed["status"] == "handed_off"
    assert handed["handed_off"]["was"] == "completed"


async def test_what_may_still_be_carried_out_is_not_said_never_to_have_been(
    http: httpx2.AsyncClient, desk: Desk, store: Store, people: People
) -> None:
    lea = await people.token("lea", role="lead")
    url = await made(desk, "unknown")
    async with store.write() as session:
        row = await session.get(EffectRow, url.rpartition("/")[2])
        assert row is not None
        row.lease_until = await session.read_clock()

    early = await http.post(f"{url}:record", headers=lea, json=NO)
    shown = await http.get(url, headers=lea)

    assert early.status_code == 409
    assert "may still be carried out until" in early.json()["detail"]
    assert early.json()["until"].endswith("Z")
    assert shown.json()["status"] == "unknown"


@pytest.mark.parametrize(
    ("role", "status"), [("agent", 403), ("auditor", 403), ("lead", 200)]
)
async def test_roles_report_as_the_table_says(
    http: httpx2.AsyncClient, desk: Desk, people: People, role: str, status: int
) -> None:
    who = await people.token("one", role=role)

    answer = await http.post(f"{await made(desk)}:reopen", headers=who, json=BOUNCED)

    assert answer.status_code == status


async def test_programs_may_report_and_settle_nothing(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    hook = await people.token("hook", role="lead", kind="service")
    url = await made(desk)

    reported = await http.post(f"{url}:reopen", headers=hook, json=BOUNCED)
    settled = await http.post(f"{url}:record", headers=hook, json=NO)

    assert (reported.status_code, settled.status_code) == (200, 403)


async def test_reports_at_once_open_one_incident(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    lea = await people.token("lea", role="lead")
    root = await people.token("root", role="admin")
    url = await made(desk)

    answers = await asyncio.gather(
        *(http.post(f"{url}:reopen", headers=lea, json=BOUNCED) for _ in range(5))
    )

    assert {one.status_code for one in answers} == {200}
    listed = (await http.get("/api/v1/incidents", headers=root)).json()["items"]
    assert len(listed) == 1
    assert url.endswith(listed[0]["detail"]["effect"])


async def test_what_was_not_done_cannot_fail_later(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    lea = await people.token("lea", role="lead")
    url = await made(desk, "unknown")

    answer = await http.post(f"{url}:reopen", headers=lea, json=BOUNCED)

    assert answer.status_code == 409
    assert "is unknown, not done" in answer.json()["detail"]


async def test_done_effect_is_not_recorded_before_it_is_reopened(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    lea = await people.token("lea", role="lead")
    url = await made(desk)

    answer = await http.post(f"{url}:record", headers=lea, json=NO)

    assert answer.status_code == 409
    assert "reopen it first" in answer.json()["detail"]


@pytest.mark.parametrize("call", ["record", "lookup", "reopen"])
async def test_other_tenants_effects_are_not_there(
    http: httpx2.AsyncClient, desk: Desk, people: People, call: str
) -> None:
    eve = await people.token("eve", role="admin", tenant="south")
    url = await made(desk, "unknown", tenant="north")
    bodies = {"record": NO, "lookup": {}, "reopen": BOUNCED}

    answer = await http.post(f"{url}:{call}", headers=eve, json=bodies[call])

    assert answer.status_code == 404


async def test_record_needs_evidence(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    lea = await people.token("lea", role="lead")
    url = await made(desk, "unknown")

    answers = [
        await http.post(f"{url}:record", headers=lea, json=body)
        for body in (
            {"happened": True},
            {"happened": True, "evidence": " "},
            {"happened": "maybe", "evidence": "x"},
        )
    ]

    assert {one.status_code for one in answers} == {422}


async def test_of_two_who_record_one_wins(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    lea = await people.token("lea", role="lead")
    lou = await people.token("lou", role="lead")
    url = await made(desk, "unknown")

    answers = await asyncio.gather(
        http.post(f"{url}:record", headers=lea, json=NO),
        http.post(
            f"{url}:record", headers=lou, json={"happened": True, "evidence": "R-1"}
        ),
    )

    assert sorted(one.status_code for one in answers) == [200, 409]


async def test_tool_without_reconcile_is_looked_up_by_nobody(
    http: httpx2.AsyncClient, desk: Desk, people: People, store: Store
) -> None:
    lea = await people.token("lea", role="lead")
    url = await made(desk, "unknown")

    answer = await http.post(f"{url}:lookup", headers=lea)

    assert answer.status_code == 409
    assert "declares no `reconcile`" in answer.json()["detail"]
    async with store.read() as session:
        rows = (await session.execute(select(OutboxRow))).scalars()
        assert [one.kind for one in rows if one.kind == "wake"] == []


async def test_tool_without_compensation_is_taken_back_by_nobody(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    lea = await people.token("lea", role="lead")
    agent = await people.token("ann", role="agent")
    url = await made(desk)
    why = {"reason": "Paid by mistake."}

    answer = await http.post(f"{url}:compensate", headers=lea, json=why)
    forbidden = await http.post(f"{url}:compensate", headers=agent, json=why)

    assert answer.status_code == 409
    assert "declares no `compensate`" in answer.json()["detail"]
    assert forbidden.status_code == 403
