"""Claims, assignments, more time and the queues' filters, over HTTP."""

from datetime import datetime, timedelta

import httpx2
import pytest

from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import access
from tests.approvals.desk import Desk
from tests.approvals.people import People

APPROVALS = "/api/v1/approvals"


async def test_p08_a_claim_names_who_holds_it_and_until_when(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    row = await desk.approval(await desk.run())
    ann, bob = await people.token("ann"), await people.token("bob")
    me = (await http.get("/api/v1/me", headers=ann)).json()
    path = f"{APPROVALS}/{row.id}"

    claimed = await http.post(f"{path}:claim", json={}, headers=ann)
    kept = await http.post(f"{path}:claim", json={}, headers=ann)
    said = {"decision": "approve", "binding": row.binding}
    decided = await http.post(f"{path}:decide", json=said, headers=bob)
    given_up = await http.post(f"{path}:unclaim", headers=ann)

    found = claimed.json()
    assert (found["claimed_by"], found["claimed_name"]) == (me["id"], "Ann")
    assert found["claim_until"] < kept.json()["claim_until"]
    assert decided.status_code == 409
    assert decided.json()["type"] == "urn:keyturn:problem:claimed"
    assert decided.json()["claimed_by"] == me["id"]
    assert decided.json()["claim_until"] == kept.json()["claim_until"]
    assert "is claimed by Ann until" in decided.json()["detail"]
    assert given_up.json()["claimed_by"] is None
    again = await http.post(f"{path}:decide", json=said, headers=bob)
    assert again.json()["status"] == "approved"


async def test_p08_a_claim_is_taken_over_from_whom_it_was_seen(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    row = await desk.approval(await desk.run())
    ann, bob = await people.token("ann"), await people.token("bob")
    cat = await people.token("cat")
    path = f"{APPROVALS}/{row.id}:claim"
    seen = (await http.post(path, json={}, headers=ann)).json()["claimed_by"]
    mine = {"take_over": seen, "reason": "she is at lunch"}

    mute = await http.post(path, json={"take_over": seen}, headers=bob)
    plain = await http.post(path, json={}, headers=bob)
    taken = await http.post(path, json=mine, headers=bob)
    late = await http.post(path, json=mine, headers=cat)

    assert [one.status_code for one in (mute, plain, taken, late)] == [
        422,
        409,
        200,
        409,
    ]
    assert taken.json()["claimed_name"] == "Bob"
    assert late.json()["claimed_name"] == "Bob"


@pytest.mark.parametrize("verb", ["claim", "unclaim"])
async def test_p08_who_decides_nothing_claims_nothing(
    http: httpx2.AsyncClient, desk: Desk, people: People, verb: str
) -> None:
    row = await desk.approval(await desk.run())
    path = f"{APPROVALS}/{row.id}:{verb}"

    for name, options, status in (
        ("aud", {"role": "auditor"}, 403),
        ("bot", {"kind": "service"}, 403),
        ("eve", {"tenant": "other"}, 404),
    ):
        headers = await people.token(name, **options)
        answer = await http.post(path, json={}, headers=headers)
        assert answer.status_code == status, (name, answer.text)


async def test_p09_a_lead_gives_more_time_and_an_agent_does_not(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    row = await desk.approval(await desk.run())
    lea, ann = await people.token("lea", role="lead"), await people.token("ann")
    path = f"{APPROVALS}/{row.id}:extend"
    until = row.answer_by + timedelta(hours=2)
    body = {"until": until.isoformat(), "reason": "the shop is closed"}

    refused = await http.post(path, json=body, headers=ann)
    both = await http.post(path, json={**body, "minutes": 5}, headers=lea)
    longer = await http.post(path, json=body, headers=lea)
    more = await http.post(path, json={"minutes": 60, "reason": "so"}, headers=lea)
    earlier = await http.post(path, json=body, headers=lea)
    far = {"until": "2100-01-01T00:00:00Z", "reason": "so"}
    too_far = await http.post(path, json=far, headers=lea)

    assert refused.status_code == 403
    assert both.status_code == 422
    assert datetime.fromisoformat(longer.json()["answer_by"]) == until
    assert more.json()["extended"] == 2
    assert datetime.fromisoformat(more.json()["answer_by"]) == until + timedelta(
        hours=1
    )
    assert earlier.status_code == 422
    assert "name a later time" in earlier.json()["detail"]
    assert too_far.status_code == 409
    assert "a week after it was requested" in too_far.json()["detail"]


async def test_p08_a_lead_gives_items_to_who_may_decide_them(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    ann = await people.named("ann")
    first = await desk.approval(await desk.run())
    own = await desk.approval(await desk.run(started_by=ann.id), order="O-2")
    lea = await people.token("lea", role="lead")
    body = {"items": [first.id, own.id, "ap-none"], "to": ann.id, "reason": "so"}

    answer = await http.post(f"{APPROVALS}:assign", json=body, headers=lea)
    mine = await http.get(
        APPROVALS, params={"claim": "mine"}, headers=await people.token("ann")
    )

    given, refused, unknown = answer.json()["items"]
    assert answer.json()["assigned"] == 1
    assert given["approval"]["assigned_to"] == ann.id
    assert refused["problem"]["status"] == 403
    assert "started" in refused["problem"]["detail"]
    assert unknown["problem"]["status"] == 404
    assert [one["id"] for one in mine.json()["items"]] == [first.id]


async def test_when_somebody_leaves_all_of_theirs_moves(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    bob = await people.named("bob")
    ann = await people.token("ann")
    rows = [
        await desk.approval(await desk.run(), order=f"O-{number}")
        for number in range(3)
    ]
    for row in rows[:2]:
        await http.post(f"{APPROVALS}/{row.id}:claim", json={}, headers=ann)
    lea = await people.token("lea", role="lead")
    body = {"from": "ann@shop.example", "to": bob.email, "reason": "she left"}

    answer = await http.post(f"{APPROVALS}:assign", json=body, headers=lea)
    nobody = await http.post(
        f"{APPROVALS}:assign", json={**body, "from": "no-one"}, headers=lea
    )

    assert answer.json()["assigned"] == 2
    assert answer.json()["more"] is False
    held = [one["approval"]["assigned_to"] for one in answer.json()["items"]]
    assert held == [bob.id, bob.id]
    assert nobody.status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"reason": "so"},
        {"items": ["ap-1"], "from": "ann", "reason": "so"},
        {"items": [], "reason": "so"},
        {"items": ["ap-1"]},
        {"items": ["ap-1"], "leaver": "ann", "reason": "so"},
    ],
    ids=["nothing", "both", "none", "no-reason", "unknown-name"],
)
async def test_what_to_assign_is_said_once(
    http: httpx2.AsyncClient, people: People, body: dict[str, object]
) -> None:
    lea = await people.token("lea", role="lead")

    answer = await http.post(f"{APPROVALS}:assign", json=body, headers=lea)

    assert answer.status_code == 422


async def test_p08_an_agent_assigns_nothing(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    row = await desk.approval(await desk.run())
    body = {"items": [row.id], "reason": "so"}

    answer = await http.post(
        f"{APPROVALS}:assign", json=body, headers=await people.token("ann")
    )

    assert answer.status_code == 403


async def test_p08_a_closed_account_lets_go_of_what_it_held(
    http: httpx2.AsyncClient, desk: Desk, people: People, store: Store
) -> None:
    row = await desk.approval(await desk.run())
    path = f"{APPROVALS}/{row.id}"
    await http.post(f"{path}:claim", json={}, headers=await people.token("ann"))
    ann = await people.named("ann")

    await access.disable(store, ann.id, by="max")

    shown = await http.get(path, headers=await people.token("bob"))
    assert shown.json()["claimed_by"] is None


async def test_queues_are_listed_by_team_language_and_claim(
    http: httpx2.AsyncClient, desk: Desk, people: People, store: Store
) -> None:
    rows = [
        await desk.approval(await desk.run(), order=f"O-{number}")
        for number in range(3)
    ]
    async with store.write() as session:
        for row, language, team in zip(
            rows, ("de", "de-at", "en"), ("de_x", "dexx", "shop"), strict=True
        ):
            fresh = await session.merge(row)
            fresh.language, fresh.team = language, team
    ann = await people.token("ann")
    account = await people.named("ann")
    async with store.write() as session:
        fresh = await session.merge(account)
        fresh.languages, fresh.teams = ["de"], ["dexx", "shop"]
    await http.post(f"{APPROVALS}/{rows[0].id}:claim", json={}, headers=ann)

    async def listed(**query: str) -> list[str]:
        answer = await http.get(APPROVALS, params=query, headers=ann)
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["items"]]

    first, second, third = (row.id for row in rows)
    assert await listed(language="DE") == [first, second]
    assert await listed(language="de_AT") == [second]
    assert await listed(team="de_x") == [first]
    assert await listed(own="true") == [second]
    assert await listed(claim="mine") == [first]
    assert await listed(claim="unclaimed") == [second, third]
    assert await listed(claim="claimed", team="shop") == []
    assert await listed(language="%") == []
