"""Webhooks and notices over HTTP."""

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.notices import fan_out, queue
from keyturn.orchestrator.store.notices.fan_out import Event, NewNotice
from tests.approvals.desk import Desk
from tests.approvals.notify.receiver import receiving
from tests.approvals.people import People

URL = "https://hooks.example/keyturn"


@pytest.fixture
def app(store: Store) -> FastAPI:
    settings = Settings(secret_key=SecretStr("our key"), webhook_private=True)
    return create_app(settings, store, None, Signer(new_key()))


async def _add(
    http: httpx2.AsyncClient, people: People, **more: object
) -> dict[str, Any]:
    answer = await http.post(
        "/api/v1/webhooks",
        json={"url": URL, **more},
        headers=await people.token("ada", role="admin"),
    )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def _give_up(desk: Desk, target: str) -> int:
    """Leave one dead letter to somebody."""
    approval = await desk.approval(await desk.run())

    async def plan(_: object, events: Any) -> list[NewNotice]:
        return [_to(target, event) for event in events]

    def _to(target: str, event: Event) -> NewNotice:
        return NewNotice(
            event=event.id,
            kind=event.kind,
            channel="webhook",
            target=target,
            tenant="default",
            approval=approval.id,
            payload={"approval": approval.id},
        )

    await fan_out.fan_out(desk.store, plan)
    [batch] = await queue.claim(desk.store)
    await queue.failed(desk.store, batch.ids, error="answered 500", for_good=True)
    return batch.ids[0]


async def test_a_webhooks_secret_is_shown_once(
    http: httpx2.AsyncClient, people: People
) -> None:
    added = await _add(http, people, events=["approval.asked"])
    ada = await people.token("ada")

    shown = (await http.get(f"/api/v1/webhooks/{added['id']}", headers=ada)).json()
    listed = (await http.get("/api/v1/webhooks", headers=ada)).json()
    log = (await http.get("/api/v1/audit?kind=webhook.added", headers=ada)).text

    assert added.pop("secret").startswith("whsec_")
    assert shown == added
    assert listed["items"] == [added]
    assert "hooks.example" in log
    assert "whsec_" not in log


async def test_a_rotation_gives_another_secret(
    http: httpx2.AsyncClient, people: People
) -> None:
    added = await _add(http, people)
    ada = await people.token("ada")

    rotated = await http.post(f"/api/v1/webhooks/{added['id']}:rotate", headers=ada)

    assert rotated.status_code == 200
    assert rotated.json()["secret"] not in ("", added["secret"])
    assert rotated.json()["old_secret_until"] is not None


async def test_a_webhook_is_tried_at_once(
    http: httpx2.AsyncClient, people: People
) -> None:
    ada = await people.token("ada", role="admin")
    async with receiving(200, 500) as receiver:
        added = await _add(http, people, url=f"{receiver.url}/x")
        path = f"/api/v1/webhooks/{added['id']}:test"

        good = (await http.post(path, headers=ada)).json()
        bad = (await http.post(path, headers=ada)).json()

    assert good == {"delivered": True, "status": 200, "error": None}
    assert bad == {"delivered": False, "status": None, "error": "answered 500"}
    told = receiver.posted[0].verified(added["secret"])
    assert told["type"] == "webhook.test"


@pytest.mark.parametrize(
    "url", ["http://hooks.example", "https://user:x@hooks.example", "https://h:0/"]
)
async def test_an_address_that_is_not_posted_to_is_refused(
    http: httpx2.AsyncClient, people: People, url: str
) -> None:
    ada = await people.token("ada", role="admin")

    answer = await http.post("/api/v1/webhooks", json={"url": url}, headers=ada)

    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:keyturn:problem:bad-address"


async def test_a_tenants_admin_sees_and_makes_their_tenants_webhooks_alone(
    http: httpx2.AsyncClient, people: People
) -> None:
    everybodys = await _add(http, people)
    tom = await people.token("tom", role="admin", tenant="acme")

    body = {"url": URL, "tenant": "another"}
    refused = await http.post("/api/v1/webhooks", json=body, headers=tom)
    own = (await http.post("/api/v1/webhooks", json={"url": URL}, headers=tom)).json()
    listed = (await http.get("/api/v1/webhooks", headers=tom)).json()
    removed = await http.delete(f"/api/v1/webhooks/{everybodys['id']}", headers=tom)

    assert refused.status_code == 403
    assert own["tenant"] == "acme"
    assert [one["id"] for one in listed["items"]] == [own["id"]]
    assert removed.status_code == 404


@pytest.mark.parametrize("role", ["agent", "lead", "operator", "developer", "auditor"])
async def test_only_an_admin_adds_a_webhook(
    http: httpx2.AsyncClient, people: People, role: str
) -> None:
    headers = await people.token("eve", role=role)

    answer = await http.post("/api/v1/webhooks", json={"url": URL}, headers=headers)

    assert answer.status_code == 403


async def test_a_dead_letter_is_listed_and_sent_again(
    http: httpx2.AsyncClient, people: People, desk: Desk
) -> None:
    notice = await _give_up(desk, "hook-1")
    oli = await people.token("oli", role="operator")
    theirs = await people.token("tom", role="operator", tenant="another")

    listed = (await http.get("/api/v1/notices", headers=oli)).json()
    hidden = (await http.get("/api/v1/notices", headers=theirs)).json()
    path = f"/api/v1/notices/{notice}:retry"
    not_theirs = await http.post(path, headers=theirs)
    again = await http.post(path, headers=oli)
    twice = await http.post(path, headers=oli)

    [one] = listed["items"]
    assert (one["id"], one["state"], one["last_error"]) == (
        notice,
        "dead",
        "answered 500",
    )
    assert hidden["items"] == []
    assert not_theirs.status_code == 404
    assert again.json()["state"] == "due"
    assert twice.status_code == 409


async def test_all_dead_letters_of_a_recipient_are_sent_again(
    http: httpx2.AsyncClient, people: People, desk: Desk
) -> None:
    await _give_up(desk, "hook-1")
    oli = await people.token("oli", role="operator")
    path = "/api/v1/notices:retry"

    none = await http.post(path, json={"target": "hook-2"}, headers=oli)
    one = await http.post(path, json={"target": "hook-1"}, headers=oli)

    assert (none.json(), one.json()) == ({"retried": 0}, {"retried": 1})


async def test_a_person_chooses_what_they_are_mailed_about(
    http: httpx2.AsyncClient, people: People
) -> None:
    amy = await people.token("amy")
    path = "/api/v1/me/notices"

    usual = (await http.get(path, headers=amy)).json()
    chosen = await http.put(path, json={"mail": ["approval.asked"]}, headers=amy)
    none = await http.put(path, json={"mail": []}, headers=amy)
    back = await http.put(path, json={"mail": None}, headers=amy)

    assert usual["chosen"] is False
    assert "approval.warned" in usual["mail"]
    assert chosen.json() == {"mail": ["approval.asked"], "chosen": True}
    assert none.json() == {"mail": [], "chosen": True}
    assert back.json() == usual
