"""Opening pages in a real browser is what lets like items be decided at once."""

from playwright.async_api import expect

from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.db.database import Store
from tests.approvals.pages.seed import (
    Seed,
    approvals_of,
    look_up,
    refund,
    start,
    take_turn,
)
from tests.browser.conftest import SignIn, read_on


async def test_an_agent_opens_two_and_decides_both(
    sign_in: SignIn, seed: Seed, store: Store
) -> None:
    page = await sign_in("agent")
    run = await start(store, "c-91", "Broken", "It broke.", "91")
    await look_up(store, run.id, "O-91")
    await take_turn(store, run.id, 2, "", refund(0, "O-91", 55_00, "Mr Li"))
    [made] = await approvals_of(store, run.id)
    items = [seed.approvals["refund_order"], made.id]

    await page.goto("/inbox/several")
    await expect(page.locator(f"#c-{items[0]}")).to_be_disabled()
    for item in items:
        async with page.expect_response(f"**/inbox/{item}/opened") as answer:
            await page.goto(f"/inbox/{item}")
        assert (await answer.value).status == 204
    await page.goto("/inbox/several")
    for item in items:
        await page.locator(f"#c-{item}").check()
    await page.get_by_role(
        "button", name="Continue with the chosen items"
    ).first.click()
    await expect(
        page.get_by_role("heading", name="2 items, one decision")
    ).to_be_visible()
    await read_on(page)
    await page.wait_for_timeout(1_100)
    await page.get_by_role("button", name="Approve all 2: 139.50 USD").click()

    await expect(page.get_by_text("2 of 2 approved: 139.50 USD")).to_be_visible()
    async with store.read() as session:
        found = [(await approval_lookup.get(session, one)).status for one in items]
    assert found == ["approved", "approved"]
