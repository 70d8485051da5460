"""A mail that speaks of an undecided refund: its page says so, and takes a no alone."""

from sqlmodel import col, select

from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.tables import ApprovalRow
from tests.approvals.pages.conftest import Doors
from tests.approvals.pages.seed import (
    approvals_of,
    call,
    refund,
    start,
    take_turn,
)


async def test_a_waiting_mail_names_and_links_what_it_waits_for(
    doors: Doors, store: Store
) -> None:
    refunding, mail = await _drafted(store)
    ana = await doors.visit("agent")

    page = (await ana.get(f"/inbox/{mail}")).text
    inbox = (await ana.get("/inbox")).text
    shown = (await ana.get(f"/api/v1/approvals/{mail}")).json()

    refund_page = (await ana.get(f"/inbox/{refunding}")).text
    assert f'<a href="/inbox/{mail}">email_customer</a> waits for this' in refund_page
    assert "Expires</dt><dd>not yet" in page
    assert "Expires</dt><dd><strong>" in refund_page
    assert "Expires</dt><dd><strong>" not in page
    assert "waits for this" not in page
    assert "Waiting for refund_order" in page
    assert f'<a href="/inbox/{refunding}">refund_order</a>' in page
    assert 'id="approve"' not in page
    assert "Reject…" in page
    assert (refunding in inbox, mail in inbox) == (True, False)
    assert (shown["status"], len(shown["waits_for"])) == ("waiting", 1)


async def test_a_waiting_mail_is_not_approved_by_any_way(
    doors: Doors, store: Store
) -> None:
    _, mail = await _drafted(store)
    ana = await doors.visit("agent")
    async with store.read() as session:
        row = await approval_lookup.get(session, mail)
    binding = row.binding or ""

    page = await ana.post(f"/inbox/{mail}/decide", decision="approve", binding=binding)
    many = await ana.client.post(
        "/api/v1/approvals:decide",
        json={"items": [{"id": mail, "binding": binding}], "decision": "approve"},
        headers={"Accept": "application/json", "X-CSRF-Token": ana.csrf},
    )

    assert page.status_code == 409
    assert "waits for refund_order" in page.text
    if many.status_code == 200:
        (came,) = many.json()["items"]
        assert came["problem"]["type"].endswith("waits-for-others")
    async with store.read() as session:
        assert (await approval_lookup.get(session, mail)).status == "waiting"


async def _drafted(store: Store) -> tuple[str, str]:
    run = await start(store, "c-7001", "Broken cup", "It broke.", "48999")
    await take_turn(
        store,
        run.id,
        2,
        "I refund it and say so.",
        refund(0, "O-70001", 45_00, "Mr Cup"),
        call(
            1,
            "email_customer",
            {"subject": "Refund", "body": "We have refunded 45.00 EUR."},
            preview={"to": "c-7001@example.org", "customer": "Mr Cup"},
        ),
    )
    found = {one.tool: one.id for one in await approvals_of(store, run.id)}
    async with store.read() as session:
        query = select(ApprovalRow).where(col(ApprovalRow.run) == run.id)
        for one in (await session.execute(query)).scalars():
            found[one.tool] = one.id
    return found["refund_order"], found["email_customer"]
