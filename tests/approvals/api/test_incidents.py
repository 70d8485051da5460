"""Incidents over HTTP: who opens, reads and closes them."""

import httpx2
import pytest
from sqlmodel import col, select

from keyturn.approvals.notify.recipients import Planner
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.notices import fan_out
from keyturn.orchestrator.store.tables import AuditRow, NoticeRow
from tests.approvals.people import People

URL = "/api/v1/incidents"
NEW = {"severity": "high", "title": "Refunds are slow", "detail": "Since noon."}

pytestmark = pytest.mark.usefixtures("desk")


async def test_incident_is_opened_shown_and_closed_once(
    http: httpx2.AsyncClient, people: People, store: Store
) -> None:
    oz = await people.token("oz", role="operator")

    opened = (await http.post(URL, headers=oz, json=NEW)).json()
    url = f"{URL}/{opened['id']}"
    closed = await http.post(f"{url}:close", headers=oz, json={"reason": "Over."})
    again = await http.post(f"{url}:close", headers=oz, json={"reason": "Over."})

    assert opened["detail"] == {"words": "Since noon."}
    assert (closed.status_code, closed.json()["status"]) == (200, "closed")
    assert again.status_code == 409
    assert "Over." in again.json()["detail"]
    assert (await http.get(url, headers=oz)).json() == closed.json()
    async with store.read() as session:
        query = select(AuditRow.kind).where(col(AuditRow.subject) == opened["id"])
        kinds = list((await session.execute(query)).scalars())
    assert sorted(kinds) == ["incident.closed", "incident.opened"]


@pytest.mark.parametrize(
    ("role", "reads", "opens"),
    [
        ("agent", 403, 403),
        ("lead", 403, 403),
        ("developer", 403, 403),
        ("auditor", 200, 403),
        ("operator", 200, 201),
        ("admin", 200, 201),
    ],
)
async def test_roles_are_those_of_the_table(
    http: httpx2.AsyncClient, people: People, role: str, reads: int, opens: int
) -> None:
    who = await people.token("one", role=role)

    assert (await http.get(URL, headers=who)).status_code == reads
    assert (await http.post(URL, headers=who, json=NEW)).status_code == opens


async def test_tenants_do_not_see_each_others_incidents(
    http: httpx2.AsyncClient, people: People
) -> None:
    ann = await people.token("ann", role="operator", tenant="north")
    bob = await people.token("bob", role="operator", tenant="south")
    root = await people.token("root", role="operator")

    mine = (await http.post(URL, headers=ann, json=NEW)).json()
    forbidden = await http.post(URL, headers=ann, json={**NEW, "tenant": "south"})
    everyones = (await http.post(URL, headers=root, json=NEW)).json()

    assert mine["tenant"] == "north"
    assert forbidden.status_code == 403
    url = f"{URL}/{mine['id']}"
    assert (await http.get(url, headers=bob)).status_code == 404
    closing = await http.post(f"{url}:close", headers=bob, json={"reason": "x"})
    assert closing.status_code == 404
    assert (await http.get(URL, headers=bob)).json()["items"] == []
    listed = (await http.get(URL, headers=root)).json()["items"]
    assert [one["id"] for one in listed] == [everyones["id"], mine["id"]]


async def test_who_can_act_on_it_is_told(
    http: httpx2.AsyncClient, people: People, store: Store
) -> None:
    oz = await people.token("oz", role="operator")
    other = await people.named("other", role="operator")
    await people.named("agent", role="agent")

    await http.post(URL, headers=oz, json=NEW)
    await fan_out.fan_out(store, Planner(mails=True))

    async with store.read() as session:
        rows = list((await session.execute(select(NoticeRow))).scalars())
    assert [(row.kind, row.target) for row in rows] == [("incident.opened", other.id)]
    assert str(rows[0].payload["path"]).startswith("/incidents/in-")
