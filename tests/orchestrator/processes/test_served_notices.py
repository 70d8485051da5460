"""Notices from a running `keyturn serve`: sent, and in nobody's way."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from aiosmtpd.smtp import SMTP

from keyturn.orchestrator.cli.demo.mailbox import Acceptor, Box
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.notices import queue
from keyturn.orchestrator.store.tables import NoticeRow
from tests.approvals.desk import Desk
from tests.approvals.notify.receiver import HANG, receiving
from tests.databases import VOUCHER
from tests.orchestrator.cli.program import Keyturn, here, serving

# Far below the time that a webhook is waited for.
AT_ONCE_S = 8.0


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[tuple[Box, str]]:
    """A mail server, and its address."""
    kept = Box(tmp_path / "mail")
    kept.folder.mkdir()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Acceptor(kept)), "127.0.0.1", 0)
    yield kept, f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def _person(keyturn: Keyturn, role: str) -> httpx2.AsyncClient:
    def add() -> str:
        address = f"{role}@example.com"
        known = ("--name", role, "--role", role, "--decides-at-once")
        added = keyturn("user", "add", address, *known)
        assert added.status == 0, added.err
        return keyturn("user", "token", address).out.strip()

    url = keyturn.environment["KEYTURN_URL"]
    token = await asyncio.to_thread(add)
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.AsyncClient(base_url=f"{url}/api/v1", headers=headers, timeout=30)


async def _row(store: Store, channel: str, *, is_done: bool) -> NoticeRow:
    """The channel's notice of an approval, once it was sent where `is_done`."""
    async with asyncio.timeout(60):
        while True:
            async with store.read() as session:
                rows = await queue.listing(session, None, tenant=None, limit=20)
            found = [row for row in rows if row.channel == channel and row.approval]
            if is_done:
                found = [row for row in found if row.done_at is not None]
            if found:
                return found[0]
            await asyncio.sleep(0.05)


async def _told(box: Box, address: str) -> None:
    """Return when somebody has been mailed of their token."""
    async with asyncio.timeout(60):
        while True:
            if any(mail["to"] == address for mail in box.mails()):
                return
            await asyncio.sleep(0.05)


@pytest.fixture
async def served(
    tmp_path: Path, box: tuple[Box, str]
) -> AsyncIterator[tuple[Keyturn, Desk]]:
    """A running web server with a desk in its store."""
    keyturn = here(tmp_path).but(
        KEYTURN_NOTICE_SMTP_URL=box[1],
        KEYTURN_PUBLIC_URL="https://keyturn.example",
        KEYTURN_WEBHOOK_PRIVATE="true",
    )
    upgraded = await asyncio.to_thread(keyturn, "db", "upgrade")
    assert upgraded.status == 0, upgraded.err
    store = Store(keyturn.environment["KEYTURN_DATABASE_URL"], voucher=VOUCHER)
    desk = Desk(store)
    web = serving(keyturn)
    try:
        await desk.open()
        await asyncio.to_thread(web.__enter__)
        yield keyturn, desk
        await asyncio.to_thread(web.__exit__, None, None, None)
    finally:
        await store.close()


async def test_p09_a_receiver_that_hangs_makes_no_decision_late(
    served: tuple[Keyturn, Desk], box: tuple[Box, str]
) -> None:
    keyturn, desk = served
    async with (
        receiving(*[HANG] * 9) as slow,
        await _person(keyturn, "admin") as admin,
        await _person(keyturn, "agent") as agent,
    ):
        hook = {"url": f"{slow.url}/hook", "events": ["approval.asked"]}
        assert (await admin.post("/webhooks", json=hook)).status_code == 201
        chosen = {"mail": ["approval.asked"]}
        assert (await agent.put("/me/notices", json=chosen)).status_code == 200
        # Of their tokens people are mailed first, and one mail goes to each at a time.
        await _told(box[0], "agent@example.com")
        run = await desk.run()
        waiting = [await desk.approval(run, index=index) for index in range(5)]
        await asyncio.wait_for(slow.came.wait(), 60)

        took = [await _decide(agent, one.id, one.binding) for one in waiting]

        mailed = await _row(desk.store, "mail", is_done=True)
        posted = await _row(desk.store, "webhook", is_done=False)
    assert max(took) < AT_ONCE_S
    assert posted.done_at is None
    assert mailed.done_at is not None
    # One mail, or more where the sender came by before the last was asked for; the admin
    # hears of accounts that one person alone opened.
    mails = [one for one in box[0].mails() if one["to"] == "agent@example.com"]
    bodies = "".join(mail["body"] for mail in mails)
    assert f"https://keyturn.example/inbox/{waiting[0].id}" in bodies
    assert "O-1" not in bodies


async def _decide(who: httpx2.AsyncClient, approval: str, binding: str | None) -> float:
    """Return how long a decision took, in seconds."""
    began = time.monotonic()
    body = {"decision": "approve", "binding": binding}
    answer = await who.post(f"/approvals/{approval}:decide", json=body)
    assert answer.status_code == 200, answer.text
    return time.monotonic() - began
