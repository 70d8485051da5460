"""The keyboard stays where the work is: focus is not lost on a form."""

from playwright.async_api import expect

from tests.approvals.pages.seed import Seed
from tests.browser.conftest import SignIn

SETTLE_MS = 800


async def test_the_edit_link_puts_the_focus_into_the_form(
    sign_in: SignIn, seed: Seed
) -> None:
    page = await sign_in("agent")
    await page.goto(f"/inbox/{seed.approvals['refund_order']}")

    await page.get_by_role("link", name="Edit first").click()

    await expect(page.get_by_label("Order id")).to_be_focused()


async def test_a_key_unfolds_a_form_with_the_focus_in_it(
    sign_in: SignIn, seed: Seed
) -> None:
    page = await sign_in("agent")
    await page.goto(f"/inbox/{seed.approvals['refund_order']}")
    await page.wait_for_timeout(SETTLE_MS)

    await page.keyboard.press("r")

    await expect(page.locator("#reject input[type=radio]").first).to_be_focused()


async def test_a_refused_edit_puts_the_focus_on_the_field_and_clears_its_error(
    sign_in: SignIn, seed: Seed
) -> None:
    page = await sign_in("agent")
    await page.goto(f"/inbox/{seed.approvals['refund_order']}?edit=1")
    amount = page.get_by_label("Amount, amount")
    await amount.fill("abc")
    await page.wait_for_timeout(SETTLE_MS)

    async with page.expect_navigation():
        await page.locator("#send-edit").click()

    error = page.locator("p.error")
    await expect(amount).to_be_focused()
    await expect(amount).to_be_in_viewport()
    await expect(error).to_have_text("“abc” is not an amount.")
    await amount.fill("80.00")
    await expect(error).to_have_count(0)
