"""A key belongs to the item that was looked at, and no key decides by accident."""

from playwright.async_api import Page, expect

from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.db.database import Store
from tests.approvals.pages.seed import Seed
from tests.browser.conftest import SignIn, read_on

# The page hears keys of an item once it has been in focus for half a second.
HEARD_MS = 900
SETTLE_MS = 1_100
EVERY = ("a", "c", "e", "r", "y", "Enter", " ", "Enter")


async def test_no_key_is_heard_as_a_page_opens(
    sign_in: SignIn, seed: Seed, store: Store
) -> None:
    page = await sign_in("agent")
    item = seed.approvals["refund_order"]

    await page.goto(f"/inbox/{item}", wait_until="commit")
    for key in EVERY:
        await page.keyboard.press(key)

    assert page.url.endswith(item)
    assert not await page.locator("#reject").get_attribute("open")
    assert await _status(store, item) == "pending"


async def test_no_key_is_heard_as_another_item_takes_the_place(
    sign_in: SignIn, seed: Seed, store: Store
) -> None:
    page = await sign_in("agent")
    item = seed.approvals["refund_order"]
    await page.goto(f"/inbox/{item}")
    await read_on(page)
    await page.wait_for_timeout(HEARD_MS)
    await page.evaluate(
        "document.querySelector('[data-item]').dataset.item = 'ap-another'"
    )

    await page.keyboard.press("a")
    early = await _focused(page)
    await page.wait_for_timeout(HEARD_MS)
    await page.keyboard.press("a")

    assert early != "approve"
    assert await _focused(page) == "approve"
    # The form that is left of the item before decides nothing any more.
    await page.wait_for_timeout(SETTLE_MS)
    await page.keyboard.press("Enter")
    await page.wait_for_timeout(HEARD_MS)
    assert await _status(store, item) == "pending"


async def test_enter_presses_a_button_only_once_it_was_looked_at(
    sign_in: SignIn, seed: Seed, store: Store
) -> None:
    page = await sign_in("agent")
    item = seed.approvals["refund_order"]
    await page.goto(f"/inbox/{item}")
    await read_on(page)
    await page.wait_for_timeout(SETTLE_MS)

    await page.keyboard.press("a")
    await page.keyboard.press("Enter")
    await page.keyboard.press(" ")
    early = await _status(store, item)
    await page.wait_for_timeout(HEARD_MS)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**?done=**")

    assert early == "pending"
    assert await _status(store, item) == "approved"


async def test_enter_in_a_field_of_an_edit_decides_nothing(
    sign_in: SignIn, seed: Seed, store: Store
) -> None:
    page = await sign_in("agent")
    item = seed.approvals["refund_order"]
    await page.goto(f"/inbox/{item}?edit=1")
    await page.get_by_label("Amount, amount").fill("80.00")
    await expect(page.get_by_role("button", name="Approve as edited")).to_be_visible()
    await page.wait_for_timeout(SETTLE_MS)

    await page.get_by_label("Amount, amount").press("Enter")
    await page.get_by_label("Note on the edit").press("Enter")
    await page.wait_for_timeout(HEARD_MS)

    assert page.url.endswith("?edit=1")
    assert await _status(store, item) == "pending"


async def test_a_key_on_a_row_opens_only_the_row_it_was_moved_to(
    sign_in: SignIn, seed: Seed
) -> None:
    page = await sign_in("agent")
    await page.keyboard.press("j")
    await expect(page.locator(f"#row-{seed.approvals['address']} a")).to_be_focused()
    await page.evaluate("document.activeElement.dataset.row = 'ap-another'")

    await page.keyboard.press("Enter")
    await page.wait_for_timeout(HEARD_MS)

    assert page.url.endswith("/inbox")


async def test_no_link_of_a_customer_can_be_reached_by_a_key(
    sign_in: SignIn, seed: Seed
) -> None:
    page = await sign_in("agent")
    await page.goto(f"/inbox/{seed.approvals['refund_order']}")

    assert await page.locator(".untrusted a").count() == 0
    outside = page.locator("main a[target=_blank]")
    assert await outside.count() == 1
    assert await outside.get_attribute("tabindex") == "-1"
    await expect(outside).to_contain_text("desk.example.com")


async def _focused(page: Page) -> str:
    return await page.evaluate("document.activeElement?.id ?? ''")


async def _status(store: Store, approval: str) -> str:
    async with store.read() as session:
        return (await approval_lookup.get(session, approval)).status
