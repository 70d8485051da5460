"""The page of notices: mail to oneself, webhooks, dead letters."""

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.notices import queue, webhooks
from keyturn.orchestrator.store.tables import NoticeRow, WebhookRow
from tests.approvals.notify.receiver import receiving
from tests.approvals.pages.conftest import Doors
from tests.approvals.pages.seed import Seed


@pytest.fixture
def app(store: Store) -> FastAPI:
    settings = Settings(secret_key=SecretStr("a key"), webhook_private=True)
    return create_app(settings, store, None, Signer(new_key()))


async def _hooks(store: Store) -> list[WebhookRow]:
    async with store.read() as session:
        return await webhooks.listing(session)


async def dead_letter(store: Store) -> int:
    async with store.write() as session:
        now = await session.read_clock()
        row = NoticeRow(
            event="1",
            kind="effect.unknown",
            channel="webhook",
            target="hook-gone",
            payload={},
            created_at=now,
            due_at=now,
            tries=10,
            last_error="answered 500",
            dead_at=now,
        )
        session.add(row)
        await session.flush()
        assert row.id is not None
        return row.id


async def test_a_person_chooses_what_they_are_mailed_about(
    doors: Doors, store: Store, seed: Seed
) -> None:
    agent = await doors.visit("agent")

    await agent.post("/notices/mail", kinds="approval.asked")
    chosen = (await agent.get("/notices")).text
    async with store.read() as session:
        mailed = await queue.mailed_about(session, seed.people["agent"].id)
    await agent.post("/notices/mail/usual")

    assert mailed == (("approval.asked",), True)
    assert 'value="approval.asked" checked' in chosen
    async with store.read() as session:
        assert not (await queue.mailed_about(session, seed.people["agent"].id))[1]


async def test_an_admin_adds_a_webhook_and_sees_its_secret_once(
    doors: Doors, store: Store
) -> None:
    admin = await doors.visit("admin")
    async with receiving() as receiver:
        added = await admin.send(
            "/webhooks", url=f"{receiver.url}/hook", kinds="effect.unknown"
        )
        [hook] = await _hooks(store)
        secret = added.text.split("whsec_", 1)[1].split("<", 1)[0]
        tried = await admin.send(f"/webhooks/{hook.id}/test")

    receiver.posted[0].verified(f"whsec_{secret}")
    assert "accepted the test (200)" in tried.text
    assert (hook.events, hook.with_arguments) == (["effect.unknown"], False)
    again = (await admin.get("/notices")).text
    assert hook.id in again
    assert "whsec_" not in again


@pytest.mark.parametrize(
    "url", ["", "ftp://x.example", "http://x.example", "https://a:b@x.example"]
)
async def test_an_address_that_may_not_be_posted_to_is_refused_in_words(
    doors: Doors, store: Store, url: str
) -> None:
    admin = await doors.visit("admin")

    answer = await admin.post("/webhooks", url=url)

    assert answer.status_code == 422
    assert "Nothing was changed" in answer.text
    assert await _hooks(store) == []


async def test_a_dead_letter_is_shown_and_sent_again(
    doors: Doors, store: Store
) -> None:
    operator = await doors.visit("operator")
    number = await dead_letter(store)
    shown = (await operator.get("/notices")).text

    once = await operator.post(f"/notices/{number}/retry")
    twice = await operator.post(f"/notices/{number}/retry")

    assert "answered 500" in shown
    assert (once.status_code, twice.status_code) == (303, 409)
    async with store.read() as session:
        row = await queue.get(session, number, tenant=None)
    assert queue.state(row) == "due"


@pytest.mark.parametrize("role", ["agent", "lead", "operator", "auditor", "developer"])
async def test_only_an_admin_changes_where_notices_go(
    doors: Doors, store: Store, role: str
) -> None:
    visitor = await doors.visit(role)

    answer = await visitor.post("/webhooks", url="https://evil.example/hook")
    retried = await visitor.post("/notices/retry")

    assert answer.status_code == 403
    assert retried.status_code == (303 if role == "operator" else 403)
    assert await _hooks(store) == []
